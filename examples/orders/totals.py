"""A function on the changes of `orders`: keeps what each customer has spent in `order-totals`.

Changes come at least once, and those of one partition key in order. So a total remembers the sequence number it has
counted up to, and a change that comes again is not counted again. (A mapping with a parallelization factor above 1 keeps
the order of each item only; this function relies on the order of a customer's orders, and leaves it at 1.)
"""

from decimal import Decimal

try:
    import boto3

    dynamodb = boto3.client("dynamodb")
except ImportError:
    import plain

    dynamodb = plain.Client()


def handler(event, context):
    for record in event["Records"]:
        count(record["dynamodb"])
    print(f"counted {len(event['Records'])} changes")


def count(change):
    difference = amount(change.get("NewImage")) - amount(change.get("OldImage"))
    try:
        dynamodb.update_item(
            TableName="order-totals",
            Key={"customer": change["Keys"]["customer"]},
            UpdateExpression="SET through = :sequence ADD spent :difference",
            ConditionExpression="attribute_not_exists(through) OR through < :sequence",
            ExpressionAttributeValues={
                ":difference": {"N": str(difference)},
                ":sequence": {"N": change["SequenceNumber"]},
            },
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        print(f"{change['SequenceNumber']} was counted before")


def amount(image):
    """The order's amount; 0 for an order that was not there before, or is not there any more."""
    return Decimal(image["amount"]["N"]) if image else Decimal(0)
