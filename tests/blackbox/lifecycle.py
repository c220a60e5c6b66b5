"""What state a table is in, and how to get rid of it."""

from botocore.exceptions import ClientError

from waiting import eventually


def is_active(client, name):
    """True when the table and all its global indexes are ACTIVE."""
    table = client.describe_table(TableName=name)["Table"]
    indexes = table.get("GlobalSecondaryIndexes", [])
    return table["TableStatus"] == "ACTIVE" and all(index["IndexStatus"] == "ACTIVE" for index in indexes)


def wait_until_active(client, name):
    eventually(lambda: is_active(client, name), within=300, saying=f"{name} is ACTIVE")


def is_gone(client, name):
    try:
        client.describe_table(TableName=name)
    except ClientError as error:
        return error.response["Error"]["Code"] == "ResourceNotFoundException"
    return False


def wait_until_gone(client, name):
    eventually(lambda: is_gone(client, name), within=120, saying=f"{name} is gone")


def drop(client, name):
    """Deletes a table, protected or not, that may already be gone; waits until nothing is being changed on it."""
    eventually(lambda: is_gone(client, name) or is_active(client, name), within=120, saying=f"{name} is settled")
    try:
        client.delete_table(TableName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            wait_until_active(client, name)
            client.delete_table(TableName=name)
        elif error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
