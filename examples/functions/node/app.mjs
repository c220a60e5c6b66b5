export const handler = async (event, context) => {
  for (const record of event.Records) {
    console.log(context.awsRequestId, record.eventName, JSON.stringify(record.dynamodb.Keys));
  }
  return { batchItemFailures: [] };
};
