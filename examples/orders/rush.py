"""Two shops change the same orders at the same moment, each in its own region, without knowing of each other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import plain

ORDERS = 20
SHOPS = {"us-east-1": "9", "eu-west-1": "11"}
together = Barrier(len(SHOPS))


def shop(region):
    dynamodb = plain.Client(region)
    for number in range(ORDERS):
        order = {"customer": {"S": "rush"}, "order": {"S": f"r{number:02}"}, "amount": {"N": SHOPS[region]}}
        together.wait(timeout=10)
        dynamodb.put_item(TableName="orders", Item=order)


if __name__ == "__main__":
    with ThreadPoolExecutor(len(SHOPS)) as shops:
        list(shops.map(shop, SHOPS))
    print(f"{ORDERS} orders written in {len(SHOPS)} regions at once")
