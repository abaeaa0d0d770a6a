from dataclasses import replace

import pytest

from src.experiments.domain.errors import UsageError
from src.experiments.domain.records import RunKey
from src.experiments.monitoring import GpuDevice, GpuPlacement, device_inside, visible_devices

GIB = 1024.0


def gpu(index, total_gib=24.0, used_gib=0.0, uuid=None):
    return GpuDevice(
        index=index,
        name="device",
        utilization_percent=None,
        memory_used_mb=used_gib * GIB,
        memory_total_mb=total_gib * GIB,
        uuid=uuid or f"GPU-{index}{index}{index}",
    )


def untold(index):
    """As a device in MIG mode answers an ordinary user."""
    return replace(gpu(index), memory_used_mb=None, memory_total_mb=None)


def run(number):
    return RunKey("baseline", number)


def placement(*devices, visible=None):
    return GpuPlacement(lambda: devices, visible)


def spread(place, count, device="cuda", memory_mb=None):
    """The devices that so many runs get one after the other."""
    for number in range(count):
        place.place(run(number), device, memory_mb)
    return [place.device_of(run(number)) for number in range(count)]


def on(uuid):
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": uuid}


# ---- what a process is told


def test_a_run_sees_its_device_only_by_a_name_that_never_changes():
    place = placement(gpu(0), gpu(1, uuid="GPU-8932f937"))

    assert place.place(run(1), "cuda:1", None) == on("GPU-8932f937")
    assert place.device_of(run(1)) == 1


def test_a_device_without_a_uuid_is_named_by_its_number_on_the_bus():
    place = placement(gpu(0), replace(gpu(1), uuid=None))

    assert place.place(run(1), "cuda:1", None) == on("1")


def test_a_run_on_the_processor_sees_no_device():
    place = placement(gpu(0))

    assert place.place(run(1), "cpu", 100.0) == {"CUDA_VISIBLE_DEVICES": ""}
    assert place.device_of(run(1)) is None


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
@pytest.mark.parametrize("visible", [None, "", "0", "NoDevFiles"])
def test_without_a_device_a_process_is_told_nothing(device, visible):
    place = placement(visible=visible)

    assert place.place(run(1), device, None) == {}
    assert place.device_of(run(1)) is None


@pytest.mark.parametrize(
    ("device", "inside"),
    [("cuda:3", "cuda"), ("cuda", "cuda"), ("cpu", "cpu"), ("auto", "auto")],
)
def test_inside_its_process_a_numbered_device_is_the_only_one(device, inside):
    assert device_inside(device) == inside


# ---- which device


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_runs_are_spread_evenly_over_equal_devices(device):
    assert spread(placement(gpu(0), gpu(1)), 4, device) == [0, 1, 0, 1]


def test_the_device_with_most_free_memory_comes_first():
    assert spread(placement(gpu(0, used_gib=20.0), gpu(1, used_gib=1.0)), 1) == [1]


def test_runs_of_unknown_needs_get_even_shares():
    assert spread(placement(gpu(0, 24.0), gpu(1, 80.0)), 6) == [1, 1, 1, 0, 1, 1]


def test_promised_memory_counts_before_it_is_taken():
    place = placement(gpu(0, 24.0), gpu(1, 20.0))

    assert spread(place, 4, memory_mb=6 * GIB) == [0, 1, 0, 1]


def test_memory_that_a_run_has_taken_does_not_count_twice():
    devices = [gpu(0, used_gib=8.0), gpu(1, used_gib=12.0)]
    place = GpuPlacement(lambda: devices, None)
    place.place(run(1), "cuda:0", 6 * GIB)
    devices[0] = gpu(0, used_gib=13.5)

    place.place(run(2), "cuda", None)  # 10 GiB are left on the first, not 4.5

    devices[1] = gpu(1, used_gib=15.0)
    place.place(run(3), "cuda:1", None)
    assert place.device_of(run(2)) == 1
    assert spread(place, 1, memory_mb=1 * GIB) == [0]


def test_other_programs_that_come_later_count():
    devices = [gpu(0), gpu(1)]
    place = GpuPlacement(lambda: devices, None)
    place.place(run(1), "cuda:1", 2 * GIB)
    devices[0] = gpu(0, used_gib=20.0)

    place.place(run(2), "cuda", 2 * GIB)

    assert place.device_of(run(2)) == 1


def test_a_released_run_gives_its_promise_back():
    place = placement(gpu(0), gpu(1, 22.0))
    place.place(run(1), "cuda", 10 * GIB)
    place.release(run(1))

    place.place(run(2), "cuda", 10 * GIB)

    assert place.device_of(run(1)) is None
    assert place.device_of(run(2)) == 0


def test_a_run_that_is_placed_again_has_one_promise_only():
    place = placement(gpu(0), gpu(1, 22.0))

    for _ in range(3):
        place.place(run(1), "cuda", 10 * GIB)

    assert place.device_of(run(1)) == 0


def test_releasing_what_was_never_placed_is_no_error():
    placement(gpu(0)).release(run(1))


def test_full_devices_are_used_in_the_order_of_what_they_lack():
    place = placement(gpu(0, 8.0), gpu(1, 8.0))

    assert spread(place, 6, memory_mb=7 * GIB) == [0, 1, 0, 1, 0, 1]


def test_runs_are_counted_where_a_device_does_not_tell_its_memory():
    place = placement(untold(0), gpu(1, used_gib=23.0), untold(2))

    assert spread(place, 6, memory_mb=GIB) == [0, 1, 2, 0, 1, 2]


# ---- which devices may be used


def shown(devices, visible):
    return [device.index for device in visible_devices(devices, visible)]


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1, 2]),
        ("2", [2]),
        ("2,0", [2, 0]),
        (" 1 , 2", [1, 2]),
        ("GPU-222", [2]),
        ("GPU-1,0", [1, 0]),
        ("1,1", [1]),
        ("", []),
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("GPU-", []),
        ("0,GPU-999", [0]),
        ("none", []),
    ],
)
def test_devices_are_shown_as_cuda_shows_them(visible, indices):
    assert shown([gpu(0), gpu(1), gpu(2)], visible) == indices


def test_a_numbered_device_is_one_of_the_visible():
    place = placement(gpu(0), gpu(1), gpu(2), visible="2,0")

    assert place.place(run(1), "cuda:0", None) == on("GPU-222")
    assert place.device_of(run(1)) == 2


def test_a_hidden_device_is_never_chosen():
    place = placement(gpu(0), gpu(1, used_gib=20.0), gpu(2, used_gib=20.0), visible="1,2")

    assert spread(place, 4) == [1, 2, 1, 2]


def test_parts_of_a_device_are_used_in_turn():
    place = placement(untold(0), visible="MIG-aa,MIG-bb")
    told = [place.place(run(number), "cuda", GIB)["CUDA_VISIBLE_DEVICES"] for number in range(3)]

    assert told == ["MIG-aa", "MIG-bb", "MIG-aa"]
    assert place.device_of(run(0)) is None


def test_a_number_beyond_the_visible_devices_is_refused_with_those_there_are():
    place = placement(gpu(0), gpu(1), visible="1")

    with pytest.raises(UsageError) as refused:
        place.check("cuda:1")

    assert refused.value.what == "device cuda:1 is not available"
    assert refused.value.where == "CUDA_VISIBLE_DEVICES=1"
    assert "choose among cuda:0," in refused.value.remedy
    with pytest.raises(UsageError):
        place.place(run(1), "cuda:1", None)


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda", "cuda:1"])
def test_a_device_that_is_here_passes(device):
    placement(gpu(0), gpu(1)).check(device)
