def handler(event, context):
    for record in event["Records"]:
        # The same for every attempt and every replay: remember it where a change must not count twice.
        print(record["eventID"], record["eventName"], record["dynamodb"]["Keys"])
    return {"batchItemFailures": []}
