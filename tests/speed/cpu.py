"""CPU time that one operation costs the server, beside the same of `benches/echo` in the same minutes: what a machine that is
busy with other things still tells, where rates tell nothing. It is the time of the whole process, in user space and kernel,
its background threads included; the client's is shown beside it.

    cpu.py [--operations put,get] [--rounds N] [--seconds N] [--count N] [--built DIR] [--folder DIR] [--threads]

The load is that of compare.py: 64 connections in a closed loop, every request signed before and verified, every write durable.
A measurement ends after `--seconds`, and is repeated until `--count` operations were answered. `--threads` shows which threads
used the time. `--folder` puts the data elsewhere: where the disk is busy with other things, in memory (/dev/shm), at the price of
leaving out what the kernel does for a real one. The bound is the share of the echo's puts that two cores could reach if nothing ever waited:
(echo + client) / (server + client).
"""

import argparse
import collections
import contextlib
import os
import pathlib
import resource
import statistics
import tempfile

import compare

TICKS = os.sysconf("SC_CLK_TCK")


def main():
    settings = arguments()
    built = pathlib.Path(settings.built)
    with tempfile.TemporaryDirectory(prefix="speed-", dir=settings.folder) as folder, contextlib.ExitStack() as running:
        settings.folder = pathlib.Path(folder)
        echo = running.enter_context(compare.start_echo(built))
        tradewind = running.enter_context(compare.start_tradewind(built, settings.folder, settings.unverified))
        compare.prepare(settings, tradewind.host)
        servers = {"echo": (echo, ["put"]), "tradewind": (tradewind, settings.operations)}
        costs = collections.defaultdict(list)
        for number in range(settings.rounds):
            for name, (server, operations) in servers.items():
                for operation in operations:
                    cost = measure(settings, server, operation)
                    costs[name, operation].append(cost)
                    print(f"round {number + 1}  {name:<10}  {operation:<16}  {cost.server_us:6.1f} µs", flush=True)
                    if settings.threads:
                        show_threads(cost)
    report(settings, costs)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", default=",".join(compare.OPERATIONS), type=compare.operations)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of one run of the client")
    parser.add_argument("--count", type=int, default=100_000, help="operations of one measurement, at least")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--folder", default=compare.ROOT / "target", help="where data is kept")
    parser.add_argument("--unverified", action="store_true", help="do not verify signatures")
    parser.add_argument("--threads", action="store_true", help="show which threads used the time")
    parser.add_argument("--built", default=compare.ROOT / "target/release", help="where the programs are")
    return parser.parse_args()


Cost = collections.namedtuple("Cost", "server_us client_us by_thread_us")


def measure(settings, server, operation):
    """Microseconds per operation that was answered."""
    before, threads_before, client_before = process_s(server.pid), threads_s(server.pid), client_s()
    answered = 0
    while answered < settings.count:
        answered += compare.load(settings, server.host, operation, settings.seconds)[0]
    threads = threads_s(server.pid)
    each_us = lambda seconds: seconds * 1e6 / answered
    return Cost(
        server_us=each_us(process_s(server.pid) - before),
        client_us=each_us(client_s() - client_before),
        by_thread_us={name: each_us(used - threads_before.get(name, 0)) for name, used in threads.items()},
    )


def process_s(pid):
    return stat_s(pathlib.Path(f"/proc/{pid}/stat"))


def threads_s(pid):
    """By the names of threads. One that ended in between is missing here, and not in the process's time."""
    used = collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            used[(task / "comm").read_text().strip()] += stat_s(task / "stat")
    return used


def stat_s(path):
    """User and system time. The name before them may have spaces, and ends with the last parenthesis."""
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def client_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show_threads(cost):
    for name, used_us in sorted(cost.by_thread_us.items(), key=lambda entry: -entry[1]):
        if used_us >= 0.1:
            print(f"           {name:<16} {used_us:6.1f} µs")


def report(settings, costs):
    median = {which: Cost(*map(statistics.median, list(zip(*rounds))[:2]), None) for which, rounds in costs.items()}
    echo = median["echo", "put"]
    print(f"\n{settings.connections} connections; µs of CPU per operation, medians of {settings.rounds} rounds")
    print(f"{'':<28}{'server':>8}{'client':>8}{'bound':>8}{'wanted':>8}")
    for (name, operation), cost in median.items():
        bound = (echo.server_us + echo.client_us) / (cost.server_us + cost.client_us)
        wanted = f"{compare.LEAST_SHARES[operation]:.0%}" if name == "tradewind" else ""
        print(f"{name + ' ' + operation:<28}{cost.server_us:>8.1f}{cost.client_us:>8.1f}{bound:>8.0%}{wanted:>8}")


if __name__ == "__main__":
    main()
