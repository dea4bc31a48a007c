"""How memory is shared out, decided without the device."""

from __future__ import annotations

import pytest

from webui.engine.memory import Budgets, choose_budgets, choose_low_memory

GB = 10**9


def test_a_cpu_gives_half_of_ram_and_has_nothing_to_put_aside():
    assert choose_budgets("cpu", ram_total=32 * GB) == Budgets(16 * GB, 0)
    assert choose_budgets("mps", ram_total=32 * GB) == Budgets(16 * GB, 0)
    assert choose_budgets("cpu", ram_total=32 * GB, ram_asked=5 * GB) == Budgets(5 * GB, 0)


@pytest.mark.parametrize(("free", "budget"), [(24, 18), (12, 9), (8, 6), (6, 4), (4, 2), (3, 1.5)])
def test_a_card_leaves_room_for_pictures(free, budget):
    assert choose_budgets("cuda", ram_total=64 * GB, device_free=free * GB) == Budgets(int(budget * GB), 32 * GB)


def test_what_was_asked_for_is_taken_and_workers_share_ram():
    assert choose_budgets("cuda", ram_total=64 * GB, device_free=24 * GB, device_asked=3 * GB, ram_asked=GB) == Budgets(
        3 * GB, GB
    )
    assert choose_budgets("xpu", ram_total=64 * GB, device_free=24 * GB, workers=4).ram == 8 * GB


@pytest.mark.parametrize(
    ("asked", "sizes", "mode"),
    [
        ("auto", [246, 1719, 167], "off"),  # SD 1.5 in half precision, in MB
        ("auto", [246, 1389, 5135, 335], "model"),  # SDXL: all of it is too much, its U-Net alone is not
        ("auto", [246, 1389, 7000, 335], "sequential"),
        ("off", [246, 1389, 7000, 335], "off"),
        ("model", [10], "model"),
        ("sequential", [10], "sequential"),
    ],
)
def test_networks_share_the_card_in_the_least_slow_way_that_fits(asked, sizes, mode):
    assert choose_low_memory(asked, sizes, Budgets(6000, 16_000)) == mode


def test_where_ram_is_all_there_is_nothing_is_moved():
    assert choose_low_memory("sequential", [10], Budgets(1, 0)) == "off"
