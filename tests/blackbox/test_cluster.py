"""Storage nodes as processes: owners that die, freeze, leave and come, a database that goes away, and what operators see.

A cluster is worth its trouble only if nobody notices which node does the work, and if none of its faults loses, repeats or
makes up a write. `TRADEWIND_TEST_LONG=1` freezes and loads for longer.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

import server
from cluster import Cluster, Node, Shape
from endpoints import ACCESS_KEY, REGION, SECRET_KEY, Endpoint
from ledger import Ledger, everything, make_ledger_table
from lifecycle import wait_until_active
from postgres import Postgres
from racing import together
from rejections import rejected
from schemas import keyed_by
from values import N, S, unique
from waiting import eventually

pytestmark = [
    pytest.mark.tradewind_only("starts servers of its own"),
    pytest.mark.cluster_only("faults of storage nodes"),
    pytest.mark.timeout(1200),
]

LONG = bool(os.environ.get("TRADEWIND_TEST_LONG"))
# Longer than a lease of 6 s.
FROZEN = 20 if LONG else 9
WRITES = 1000 if LONG else 250


@pytest.fixture(scope="module")
def cluster():
    given = Shape.of(os.environ["TRADEWIND_TEST_CLUSTER"])
    with Cluster(Shape(nodes=3, databases=given.databases)) as cluster:
        yield cluster
        assert_no_secrets(cluster)


def assert_no_secrets(cluster):
    """Whatever happened: no secret and no item is in what the nodes logged."""
    logged = cluster.output()
    assert SECRET_KEY not in logged
    assert "PRIVATE KEY" not in logged
    assert "-count-" not in logged and "-put-" not in logged


@pytest.fixture(autouse=True)
def well(request):
    """Every test begins with all nodes of the shared cluster ready, whatever the one before did to them."""
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        for node in cluster.nodes:
            node.signal(signal.SIGCONT)
            if node.process.poll() is not None:
                node.start()
        eventually(lambda: all(node.is_ready() for node in cluster.nodes), within=30, saying="all nodes are ready")


@pytest.fixture
def table(cluster):
    client = cluster.endpoint().client()
    name = make_ledger_table(client, unique("ledger"))
    wait_until_active(client, name)
    yield name
    client.delete_table(TableName=name)


def clients_of(*nodes):
    return [Endpoint(node.url, "tradewind").client() for node in nodes]


def check(ledger, cluster):
    endpoint = cluster.endpoint()
    ledger.check(endpoint.client(), endpoint.client("dynamodbstreams"))


# Owners that go away


def test_a_killed_owner_is_replaced_within_ten_seconds_and_nothing_is_lost(cluster, table):
    victim, *others = cluster.nodes
    with Ledger(clients_of(*cluster.nodes), table, "kill") as ledger:
        ledger.wait_for(WRITES)
        victim.kill()
        probe_every_partition(clients_of(*others), table, within=10)
        ledger.wait_for(WRITES)
        victim.start()
        ledger.wait_for(WRITES)
    check(ledger, cluster)


def probe_every_partition(clients, table, within):
    """Writes items all over the table until each has been acknowledged."""
    deadline = time.monotonic() + within
    for nth in range(64):
        while True:
            assert time.monotonic() < deadline, f"item {nth} could not be written within {within} s"
            with contextlib.suppress(ClientError, OSError):
                clients[nth % len(clients)].put_item(TableName=table, Item={"p": S(f"probe-put-{nth}"), "n": N(nth)})
                break


def test_an_owner_that_wakes_after_its_lease_writes_nothing_and_answers_nothing_old(cluster, table):
    sleeper, *others = cluster.nodes
    before = len(sleeper.output())
    awake = clients_of(*others)
    with Ledger(awake, table, "frozen") as ledger:
        ledger.wait_for(WRITES)
        with Ledger(clients_of(sleeper), table, "through-sleeper", workers=2) as through:
            through.wait_for(20)
            sleeper.signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            probe_every_partition(awake, table, within=12)
            ledger.wait_for(WRITES)
            eventually(lambda: time.monotonic() > frozen_at + FROZEN, within=FROZEN + 1)
            for nth in range(32):
                awake[0].put_item(TableName=table, Item={"p": S(f"new-put-{nth}"), "n": N(nth)})
            sleeper.signal(signal.SIGCONT)
            woken = clients_of(sleeper)[0]
            # It must not refuse or allow by what it remembers: these items came while it slept.
            for nth in range(32):
                assert item_there(woken, table, f"new-put-{nth}") == nth
                with rejected("ConditionalCheckFailedException"):
                    insistently(
                        lambda nth=nth: woken.put_item(
                            TableName=table,
                            Item={"p": S(f"new-put-{nth}"), "n": N(nth)},
                            ConditionExpression="attribute_not_exists(p)",
                        )
                    )
            through.wait_for(20, within=60)
        ledger.wait_for(WRITES)
    eventually(lambda: "lease was not renewed" in sleeper.output()[before:], within=5, saying="it says why")
    through.check_books(everything(awake[0], table))
    check(ledger, cluster)


def item_there(client, table, key):
    answer = insistently(lambda: client.get_item(TableName=table, Key={"p": S(key)}, ConsistentRead=True))
    return int(answer["Item"]["n"]["N"]) if "Item" in answer else None


def insistently(call, within=30):
    """Repeats a call while it is answered by what a client may retry."""
    deadline = time.monotonic() + within
    while True:
        try:
            return call()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or time.monotonic() > deadline:
                raise


def test_a_node_that_leaves_and_one_that_comes_cost_no_client_an_error(cluster, table):
    leaver, *others = cluster.nodes
    with Ledger(clients_of(*others), table, "leave", tolerant=False) as ledger:
        ledger.wait_for(WRITES)
        assert leaver.stop() == 0, leaver.output()
        ledger.wait_for(WRITES)
        leaver.start()
        ledger.wait_for(WRITES)
    assert ledger.faults == 0
    check(ledger, cluster)


# The database


def test_postgres_stopped_as_in_a_crash_comes_back_and_nothing_is_lost(cluster, table):
    node = cluster.nodes[0]
    with Ledger(clients_of(*cluster.nodes), table, "restart") as ledger:
        ledger.wait_for(WRITES)
        cluster.postgres.stop(signal.SIGQUIT)
        status, body = eventually(lambda: node.readiness()[0] == 503 and node.readiness(), within=10)
        assert status == 503 and any("database" in missing for missing in body["missing"]), body
        cluster.postgres.start()
        eventually(lambda: all(node.is_ready() for node in cluster.nodes), within=20, saying="all are ready again")
        ledger.wait_for(WRITES)
    check(ledger, cluster)


def test_a_node_that_starts_waits_for_a_database_that_starts_with_it(cluster, table):
    node = cluster.nodes[0]
    assert node.stop() == 0
    cluster.postgres.stop()
    already = len(node.output())
    try:
        node.launch()
        eventually(lambda: "waiting for PostgreSQL" in node.output()[already:], within=10, saying="it says what it waits for")
    finally:
        cluster.postgres.start()
    node.ready = eventually(node._read_ready_file, within=30, saying="it has started")
    eventually(node.is_ready, within=30, saying="it is ready")
    clients_of(node)[0].put_item(TableName=table, Item={"p": S("waited-put-1"), "n": N(1)})


def test_requests_wait_for_a_database_that_is_away_and_then_get_a_retryable_answer(cluster, table):
    client = clients_of(cluster.nodes[0])[0]
    cluster.postgres.stop(signal.SIGQUIT)
    try:
        for call in (
            lambda: client.get_item(TableName=table, Key={"p": S("x")}, ConsistentRead=True),
            lambda: client.put_item(TableName=table, Item={"p": S("x"), "n": N(1)}),
        ):
            started = time.monotonic()
            with pytest.raises(ClientError) as refused:
                call()
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503)
            assert time.monotonic() - started < 25
    finally:
        cluster.postgres.start()
    eventually(lambda: item_there(client, table, "x") in (None, 1), within=20)


def test_sessions_ended_in_the_middle_of_commits_lose_and_repeat_nothing(cluster, table):
    with Ledger(clients_of(*cluster.nodes), table, "terminate") as ledger:
        for _ in range(60 if LONG else 15):
            ledger.wait_for(10)
            cluster.postgres.sql(
                "postgres",
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where backend_type = 'client backend' and pid <> pg_backend_pid()",
            )
        ledger.wait_for(WRITES, within=60)
    check(ledger, cluster)


def timed(call):
    """The status of a refused call, and after how many seconds it came."""
    started = time.monotonic()
    with pytest.raises(ClientError) as refused:
        call()
    return refused.value.response["ResponseMetadata"]["HTTPStatusCode"], time.monotonic() - started


def test_a_database_that_stands_still_is_waited_for_and_nothing_is_lost(cluster, table):
    node = cluster.nodes[0]
    client = clients_of(node)[0]
    with Ledger(clients_of(*cluster.nodes), table, "still") as ledger:
        ledger.wait_for(WRITES)
        cluster.postgres.signal_all(signal.SIGSTOP)
        try:
            new = {"TableName": table, "Item": {"p": S("still-put-x"), "n": N(1)}}
            other = {"TableName": table, "Item": {"p": S("still-put-y"), "n": N(1)}}
            calls = [
                lambda: client.put_item(**new),
                lambda: client.transact_write_items(TransactItems=[{"Put": new}, {"Put": other}]),
                lambda: client.get_item(TableName=table, Key={"p": S("still-put-x")}, ConsistentRead=True),
            ]
            for status, took in together(timed, calls, threads=len(calls)):
                assert status in (500, 503)
                assert took < 25
            status, body = node.readiness()
            assert status == 503 and any("does not answer" in missing for missing in body["missing"]), body
            health = json.loads(urllib.request.urlopen(f"{node.url}/health", timeout=2).read())
            assert health["status"] == "ok" and health["missing"], health
        finally:
            cluster.postgres.signal_all(signal.SIGCONT)
        eventually(lambda: all(node.is_ready() for node in cluster.nodes), within=30, saying="all are ready again")
        ledger.wait_for(WRITES)
    for name in ("still-put-x", "still-put-y"):
        cluster.endpoint().client().delete_item(TableName=table, Key={"p": S(name)})
    ledger.check_books(everything(client, table))


def test_a_database_whose_disk_is_full_refuses_writes_and_loses_none(small_disk):
    with Cluster(Shape(nodes=1), postgres=Postgres(small_disk / "postgres")) as cluster:
        (node,), client = cluster.nodes, cluster.endpoint().client()
        table = make_ledger_table(client, "filled")
        wait_until_active(client, table)
        with Ledger(clients_of(node), table, "full") as ledger:
            ledger.wait_for(WRITES)
            filler = small_disk / "filler"
            with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * 65536)
            faults = ledger.faults
            eventually(lambda: ledger.faults >= faults + 20, within=60, saying="writes are refused")
            status, body = node.readiness()
            assert status == 503 and any("No space left on device" in missing for missing in body["missing"]), body
            filler.unlink()
            # It ends itself where it cannot write its log; whatever runs it starts it again.
            if cluster.postgres.process.poll() is not None:
                cluster.postgres.start()
            ledger.wait_for(WRITES, within=60)
        eventually(node.is_ready, within=30, saying="it is ready again")
        check(ledger, cluster)


def test_eventual_reads_go_on_by_a_standby_while_the_database_is_away():
    databases = Shape.of(os.environ["TRADEWIND_TEST_CLUSTER"]).databases
    with Cluster(Shape(nodes=0, databases=databases)) as cluster, cluster.postgres.standby() as standby:
        replicas = [url.replace(f":{cluster.postgres.port}/", f":{standby.port}/") for url in cluster.urls]
        node = cluster.add("reader", *(word for url in replicas for word in ("--postgres-replica", url)))
        client = Endpoint(node.url, "tradewind").client()
        client.create_table(TableName="read", **keyed_by("p:S"))
        wait_until_active(client, "read")
        for nth in range(40):
            client.put_item(TableName="read", Item={"p": S(f"put-{nth}"), "n": N(nth)})
        names = [url.rsplit("/", 1)[1] for url in cluster.urls]
        count = "select count(*) from items"
        eventually(lambda: sum(int(standby.sql(name, count)) for name in names) == 40, within=20, saying="it follows")
        # The node finds its standbys within a second or two.
        eventually(lambda: connected(standby, names), within=20, saying="each standby is asked")
        cluster.postgres.stop(signal.SIGQUIT)
        for nth in range(40):
            started = time.monotonic()
            assert client.get_item(TableName="read", Key={"p": S(f"put-{nth}")})["Item"]["n"] == N(nth)
            assert time.monotonic() - started < 5
        assert client.scan(TableName="read")["Count"] == 40
        with pytest.raises(ClientError):
            client.get_item(TableName="read", Key={"p": S("put-1")}, ConsistentRead=True)
        cluster.postgres.start()
        eventually(node.is_ready, within=30, saying="it is ready again")
        insistently(lambda: client.put_item(TableName="read", Item={"p": S("put-1"), "n": N(100)}))
        assert item_there(client, "read", "put-1") == 100


def connected(server, names):
    sessions = "select count(distinct datname) from pg_stat_activity where application_name = 'reader'"
    return server.sql("postgres", sessions) == str(len(names))


def test_a_tables_throughput_holds_for_all_nodes_together(cluster):
    name = unique("bounded")
    client = clients_of(cluster.nodes[0])[0]
    client.create_table(
        TableName=name,
        **{**keyed_by("p:S"), "BillingMode": "PROVISIONED"},
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    wait_until_active(client, name)
    written, started = [], time.monotonic()

    def write_until_refused(client, worker):
        nth = 0
        with contextlib.suppress(client.exceptions.ProvisionedThroughputExceededException):
            while time.monotonic() < started + 120:
                client.put_item(TableName=name, Item={"p": S(f"{worker}-{nth}")})
                written.append(nth)
                nth += 1

    writers = [
        threading.Thread(target=write_until_refused, args=(client, worker))
        for worker, client in enumerate(clients_of(*cluster.nodes))
    ]
    [writer.start() for writer in writers]
    [writer.join() for writer in writers]
    took = time.monotonic() - started
    # A bucket of 300 seconds and what came meanwhile; every node may serve some tenths of a second before it hears of it.
    assert 300 <= len(written) <= 300 + took + 200, (len(written), took)
    client.delete_table(TableName=name)


# Names


def test_a_second_node_of_a_name_is_refused_while_the_first_lives(cluster, table):
    first = cluster.nodes[0]
    second = Node(cluster, first.name)
    second.ready_file, second.log_file = cluster.folder / "second.ready", cluster.folder / "second.log"
    second.launch()
    assert second.process.wait(timeout=20) == 1
    last = second.output().strip().splitlines()[-1]
    assert last.startswith("tradewind: --name") and first.name in last and "alive" in last, last
    assert first.is_ready()
    clients_of(first)[0].put_item(TableName=table, Item={"p": S("first-put-1"), "n": N(1)})


# Credentials


def credentials(cluster, *arguments):
    postgres = [word for url in cluster.urls for word in ("--postgres", url)]
    return server.run("credentials", *arguments, *postgres, "--region", REGION)


def test_keys_are_made_listed_and_disabled_while_the_nodes_run(cluster):
    made = credentials(cluster, "create", "--description", "for a test")
    assert made.returncode == 0, made.stderr
    entry = dict(line.split(" = ") for line in made.stdout.splitlines() if " = " in line)
    key, secret = entry["aws_access_key_id"], entry["aws_secret_access_key"]
    accepted = [Endpoint(node.url, "tradewind", access_key=key, secret_key=secret).client() for node in cluster.nodes]
    eventually(lambda: all(map(is_accepted, accepted)), within=3, saying="accepted everywhere")
    listed = credentials(cluster, "list", "--json")
    shown = {each["access_key_id"]: each for each in json.loads(listed.stdout)["credentials"]}
    assert shown[key]["description"] == "for a test" and not shown[key]["disabled"]
    assert secret not in listed.stdout and SECRET_KEY not in listed.stdout
    assert credentials(cluster, "disable", key).returncode == 0
    eventually(lambda: not any(map(is_accepted, accepted)), within=3, saying="refused everywhere")
    with rejected("UnrecognizedClientException"):
        accepted[0].list_tables()
    cluster.endpoint().client().list_tables()
    unknown = credentials(cluster, "disable", "AKIANOBODY")
    assert unknown.returncode == 1 and "AKIANOBODY" in unknown.stderr


def is_accepted(client):
    try:
        return bool(client.list_tables())
    except ClientError:
        return False


def test_unknown_keys_wrong_secrets_and_no_signature_are_refused(cluster):
    url = cluster.nodes[0].url
    with rejected("UnrecognizedClientException"):
        Endpoint(url, "tradewind", access_key="AKIASOMEBODYELSE0000").client().list_tables()
    with rejected("InvalidSignatureException"):
        Endpoint(url, "tradewind", secret_key="wrong").client().list_tables()
    with rejected("MissingAuthenticationTokenException"):
        Endpoint(url, "tradewind").call("ListTables", {}, sign=False)


# What operators see


def test_health_and_readiness_answer_without_a_signature(cluster):
    node = cluster.nodes[0]
    assert node.readiness() == (200, {"status": "ready", "node": {"name": node.name, "id": node.readiness()[1]["node"]["id"]}})
    port = str(node.ready["ports"]["all"])
    for arguments in ([], ["--live"]):
        assert server.run("healthcheck", "--listen", f"127.0.0.1:{port}", *arguments).returncode == 0
    nobody = server.run("healthcheck", "--listen", "127.0.0.1:1")
    assert nobody.returncode == 1 and "127.0.0.1:1" in nobody.stderr


def test_operators_see_the_regions_tables_at_every_node_if_they_sign(cluster, table):
    for node in cluster.nodes:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{node.url}/_tradewind/tables", timeout=5)
        assert refused.value.code in (400, 403)
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        shown = server.run("tables", "--endpoint", node.url, environment=keys)
        assert shown.returncode == 0 and table in shown.stdout, shown.stderr


URL = "postgres://tradewind@127.0.0.1:1/nothing"
REFUSED = {
    "plain HTTP for others": (["--listen", "0.0.0.0:0"], "--listen"),
    "a certificate without its key": (["--tls-cert", "/nowhere"], "--tls-key"),
    "a certificate that is not there": (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], "--tls-cert /nowhere"),
    "credentials that are not there": (["--credentials", "/nowhere"], "--credentials /nowhere"),
    "itself as a peer": (["--peer", f"{REGION}=https://a:1"], "--peer"),
    "a peer without TLS": (["--peer", "eu-west-1=http://a:1"], "--peer"),
    "an account": (["--account-id", "1"], "--account-id"),
    "a name with a space": (["--name", "a b"], "--name"),
    "a database that is not there, also after ten seconds": ([], "--postgres"),
}


@pytest.mark.parametrize(("arguments", "names"), REFUSED.values(), ids=REFUSED)
def test_settings_that_cannot_be_are_refused_by_name(arguments, names):
    ended = server.run("storage", "--region", REGION, "--postgres", URL, "--listen", "127.0.0.1:0", *arguments)
    if "--listen" in arguments:
        ended = server.run("storage", "--region", REGION, "--postgres", URL, *arguments)
    assert ended.returncode in (1, 2), ended
    assert names in ended.stderr, ended.stderr


def test_a_password_is_in_no_refusal():
    url = "postgres://tradewind:hidden@127.0.0.1:1/nothing"
    for postgres in (url, url.replace("postgres://", "mysql://")):
        ended = server.run("storage", "--region", REGION, "--postgres", postgres)
        assert ended.returncode != 0 and "hidden" not in ended.stderr + ended.stdout, ended.stderr


def test_encryption_is_not_claimed(cluster):
    with rejected("ValidationException"):
        cluster.endpoint().client().create_table(
            TableName=unique("sse"), **keyed_by("p:S"), SSESpecification={"Enabled": True, "SSEType": "KMS"}
        )


def test_the_port_for_nodes_lets_no_stranger_in(cluster):
    host, port = cluster.nodes[0].ready["node"]["address"].rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        # TLS 1.3 tells a client that lacks a certificate when it reads first.
        with pytest.raises(ssl.SSLError), context.wrap_socket(plain) as stranger:
            stranger.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            while stranger.recv(1):
                pass


def test_tls_is_spoken_where_a_certificate_is_given(cluster, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    node = Node(cluster, "with-tls", *tls).start()
    try:
        listen = f"127.0.0.1:{node.ready['ports']['all']}"
        assert server.run("healthcheck", "--listen", listen, "--tls-cert", str(certificate)).returncode == 0
        assert server.run("healthcheck", "--listen", listen).returncode == 1
        context = ssl.create_default_context(cafile=str(certificate))
        with socket.create_connection(("127.0.0.1", node.ready["ports"]["all"]), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as talk:
                talk.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                assert talk.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        assert node.stop() == 0


def test_sigterm_while_frozen_clients_hold_connections_ends_in_bounded_time(cluster):
    node = Node(cluster, "short-lived").start()
    idle = [socket.create_connection(("127.0.0.1", node.ready["ports"]["all"])) for _ in range(20)]
    idle[0].sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    started = time.monotonic()
    assert node.stop(within=20) == 0
    assert time.monotonic() - started < 15
    [each.close() for each in idle]


def test_many_clients_make_and_drop_tables_at_every_node(cluster):
    """The catalogue is the same wherever it is asked, as soon as a control operation has answered."""
    clients = clients_of(*cluster.nodes)

    def live(worker):
        for turn in range(3):
            name = unique("many")
            clients[(worker + turn) % 3].create_table(TableName=name, **keyed_by("p:S"))
            for client in clients:
                eventually(lambda: client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
                client.put_item(TableName=name, Item={"p": S("x")})
            clients[(worker + turn + 1) % 3].delete_table(TableName=name)
            for client in clients:
                eventually(lambda: name not in client.list_tables()["TableNames"])

    failures = []

    def caught(worker):
        try:
            live(worker)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=caught, args=(worker,)) for worker in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures, failures[0]
