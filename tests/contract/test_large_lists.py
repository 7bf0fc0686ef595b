"""Pages of a large mesh: each costs its own size, and others may write meanwhile."""

from __future__ import annotations

import time

from tests.contract.served import Served

SIZE = 5000


def test_a_list_of_5000_is_read_page_by_page_while_others_write(weft: Served, mesh: str) -> None:
    names = [f"s{i:05}" for i in range(SIZE)]
    resources = [
        {"kind": "virtualService", "meshName": mesh, "virtualServiceName": name, "spec": {}}
        for name in names
    ]
    assert weft.request("POST", "/weft/v1/apply", {"resources": resources}).status == 200
    path = f"/v20190125/meshes/{mesh}/virtualServices"

    found, token, took = [], "", []
    while True:
        began = time.perf_counter()
        page = weft.get(f"{path}?nextToken={token}").body
        took.append(time.perf_counter() - began)
        found += [each["virtualServiceName"] for each in page["virtualServices"]]
        if "nextToken" not in page:
            break
        token = page["nextToken"]
        # One that was read already goes, one that was read already comes, one to come goes.
        at = len(took) * 100
        for name in {names[at - 1], names[at + 50] if at + 50 < SIZE else names[at - 1]}:
            assert weft.request("DELETE", f"{path}/{name}").status == 200
        weft.put(path, {"virtualServiceName": f"{names[at - 2]}-new", "spec": {}})

    assert found == sorted(set(found))
    gone = {names[at + 50] for at in range(100, SIZE, 100) if at + 50 < SIZE}
    assert set(names) - set(found) == gone
    # 100 items a page: a few milliseconds, of which sorting 5,000 names is a fraction.
    assert sorted(took)[len(took) // 2] < 0.1
