"""The 2017 version of global tables: tools that ask for it learn that there is none, in AWS's words."""

import pytest

from rejections import invalid, rejected

GONE = "Global table not found: Global table with name: 'no-such-table' does not exist."


def test_none_are_listed(client):
    assert client.list_global_tables()["GlobalTables"] == []


@pytest.mark.parametrize("operation", ["describe_global_table", "describe_global_table_settings"])
def test_none_is_described(client, operation):
    with rejected("GlobalTableNotFoundException", GONE):
        getattr(client, operation)(GlobalTableName="no-such-table")


def test_none_is_changed(client):
    with rejected("GlobalTableNotFoundException", GONE):
        client.update_global_table(GlobalTableName="no-such-table", ReplicaUpdates=[])
    with rejected("GlobalTableNotFoundException", GONE):
        client.update_global_table_settings(GlobalTableName="no-such-table")


def test_one_needs_its_table(client):
    with rejected("TableNotFoundException"):
        client.create_global_table(GlobalTableName="no-such-table", ReplicationGroup=[{"RegionName": "eu-west-1"}])


@pytest.mark.tradewind_only("AWS would make it")
def test_none_is_made(client, table):
    with invalid(has="2019.11.21"):
        client.create_global_table(GlobalTableName=table, ReplicationGroup=[{"RegionName": "eu-west-1"}])
