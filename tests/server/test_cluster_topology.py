"""CLUSTER SLOTS and CLUSTER NODES as servers, proxies and managed services write them."""

from redis_oom_tui.models.address import Address
from redis_oom_tui.server.cluster.topology import Owners, from_nodes, from_slots

ASKED = Address("entry.example", 7000)
NODES = """\
07c3 127.0.0.1:30004@31004,host-4 slave e7d1 0 1426238317239 4 connected
67ed 127.0.0.1:30002@31002,host-2 master - 0 1426238316232 2 connected 5461-10922
6ec2 10.0.0.9:30005@31005 slave,fail 67ed 0 1426238316232 5 disconnected
e7d1 :30001@31001 myself,master - 0 0 1 connected 0-5460 [93->-67ed]
aaaa :0@0 master,noaddr - 0 0 1 disconnected
bbbb 10.0.0.1:1@2 handshake - 0 0 0 connected
cccc ::1:7000@17000,,shard-id=x master - 0 0 9 connected 10923 10925-10999
"""


def test_the_lines_of_nodes() -> None:
    nodes = {node.id: node for node in from_nodes(NODES, ASKED)}
    assert set(nodes) == {"07c3", "67ed", "6ec2", "e7d1", "cccc"}
    assert nodes["07c3"].primary == nodes["e7d1"].name == "entry.example:30001"
    assert nodes["6ec2"].failed
    assert nodes["e7d1"].ranges == ((0, 5460),)
    assert nodes["cccc"].ranges == ((10923, 10923), (10925, 10999))
    assert nodes["cccc"].address == Address("::1", 7000)


def test_slots_with_names_holes_and_no_host() -> None:
    reply = [
        [5461, 10922, [b"host-2", 6380, b"67ed", [b"ip", b"10.0.0.2"]], [None, 6381, b"07c3", []]],
        [0, 5460, [b"", 6379, b"e7d1", []]],
        [10924, 16383, [b"host-2", 6380, b"67ed", []]],
    ]
    nodes = from_slots(reply, ASKED)
    assert [(node.name, node.is_primary) for node in nodes] == [
        ("entry.example:6379", True),
        ("host-2:6380", True),
        ("entry.example:6381", False),
    ]
    owners = Owners([node for node in nodes if node.is_primary])
    assert [getattr(owners.of_slot(slot), "id", None) for slot in (0, 5460, 10922, 10923, 10924, 16383)] == [
        "e7d1",
        "e7d1",
        "67ed",
        None,
        "67ed",
        "67ed",
    ]


def test_entries_of_an_old_server_have_no_id() -> None:
    assert from_slots([[0, 16383, [b"10.0.0.1", 6379]]], ASKED)[0].id == "10.0.0.1:6379"
