"""Programs that hang on a function of a kernel module, or of another BPF program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import IncompatibleTypeError, SpecError, UnresolvedSymbolError
from aiobpf.link import Fentry, Freplace
from aiobpf.runtime import Program

if TYPE_CHECKING:
    from .conftest import NetworkPair

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.mark.requires("trampolines")
@pytest.mark.shows("freplace")
async def test_freplace_changes_what_a_program_returns_until_it_is_closed() -> None:
    async with aiobpf.load(OBJECTS / "extended.bpf.o") as target:
        ask = target.programs["ask"]
        assert (await ask.run(PACKET)).retval == 3
        async with aiobpf.load(
            OBJECTS / "extensions.bpf.o", programs=["other_answer"], attach_programs={"other_answer": ask}
        ) as coll:
            async with coll.attach():
                assert (await ask.run(PACKET)).retval == 77
            assert (await ask.run(PACKET)).retval == 3


@pytest.mark.requires("trampolines")
@pytest.mark.shows("fentry_on_bpf_prog")
async def test_fentry_and_fexit_see_a_bpf_programs_functions_run() -> None:
    names = ["on_entry", "on_exit", "on_main"]
    async with aiobpf.load(OBJECTS / "extended.bpf.o") as target:
        ask = target.programs["ask"]
        async with aiobpf.load(
            OBJECTS / "extensions.bpf.o", programs=names, attach_programs=dict.fromkeys(names, ask)
        ) as coll:
            seen = coll.variables
            async with coll.attach("on_entry", "on_exit"), coll.programs["on_main"].attach(Fentry()):
                for _ in range(3):
                    await ask.run(PACKET)
                assert (seen["entries"].value, seen["exits"].value, seen["returned"].value) == (3, 3, 3)
                assert seen["main_entries"].value == 3, "without a name, the function that the program begins with"
            await ask.run(PACKET)
            assert seen["entries"].value == seen["exits"].value == seen["main_entries"].value == 3


@pytest.mark.requires("trampolines")
async def test_a_program_alone_is_given_its_target() -> None:
    spec = aiobpf.read_spec(OBJECTS / "extensions.bpf.o").programs["other_answer"]
    async with aiobpf.load(OBJECTS / "extended.bpf.o") as target:
        ask = target.programs["ask"]
        async with Program.load(spec, attach_program=ask) as program, program.attach(Freplace("answer")):
            assert (await ask.run(PACKET)).retval == 77
        async with Program.load(spec, attach_program=ask) as program:
            with pytest.raises(SpecError, match="loaded to replace 'answer', not 'ask'"):
                await program.attach(Freplace("ask"))


async def test_a_target_that_is_missing_or_lacks_the_function_is_named() -> None:
    spec = aiobpf.read_spec(OBJECTS / "extensions.bpf.o")
    with pytest.raises(SpecError, match=r"'other_answer' \(section 'freplace/answer'\).*attach_programs="):
        await Program.load(spec.programs["other_answer"])
    with pytest.raises(SpecError, match="attach_programs has 'nobody'"):
        await aiobpf.Collection.load(spec, attach_programs={"nobody": None})  # type: ignore[dict-item]
    async with aiobpf.load(OBJECTS / "extended.bpf.o") as target:
        ask = target.programs["ask"]
        misspelt = spec.programs["other_answer"]
        misspelt.attach_to = "anwser"
        with pytest.raises(UnresolvedSymbolError, match="program 'ask' has no function 'anwser'; it has ask, answer"):
            await Program.load(misspelt, attach_program=ask)
        with pytest.raises(SpecError, match="'ask' is of type SCHED_CLS: only freplace, fentry"):
            await Program.load(aiobpf.read_spec(OBJECTS / "extended.bpf.o").programs["ask"], attach_program=ask)
    without = aiobpf.read_spec(OBJECTS / "no_btf.bpf.o").programs["advance"]
    async with Program.load(without) as plain:
        with pytest.raises(SpecError, match=r"'advance', which was loaded without the types of its functions"):
            await Program.load(spec.programs["on_entry"], attach_program=plain)


@pytest.mark.requires("trampolines", "modules")
@pytest.mark.shows("fentry_module")
async def test_a_modules_function_is_traced_by_its_name_alone_or_with_its_modules(network: NetworkPair) -> None:
    names = ["count_sent", "count_sent_too"]
    async with aiobpf.load(OBJECTS / "modules.bpf.o", programs=names) as coll:
        sent, sent_too = coll.variables["sent"], coll.variables["sent_too"]
        async with coll.attach(*names):
            before = sent.value, sent_too.value
            assert network.datagram_arrives()
            assert sent.value > before[0]
            assert sent_too.value > before[1]
        after = sent.value
        assert network.datagram_arrives()
        assert sent.value == after


@pytest.mark.requires("trampolines", "modules")
async def test_a_module_that_lacks_the_function_is_named() -> None:
    spec = aiobpf.read_spec(OBJECTS / "modules.bpf.o").programs["count_sent"]
    spec.attach_to = "veth:nf_conntrack_in"
    with pytest.raises(UnresolvedSymbolError, match="module 'veth' has no function 'nf_conntrack_in'"):
        await Program.load(spec)


@pytest.mark.requires("modules", "connection tracking kfuncs")
async def test_functions_of_two_modules_and_of_the_kernel_are_called_in_one_program() -> None:
    """nf_conntrack makes and finds a connection, xfrm_interface knows nothing of the packet, and the kernel locks."""
    async with aiobpf.load(OBJECTS / "modules.bpf.o", programs=["is_tracked", "track"]) as coll:
        looked = await coll.programs["is_tracked"].run(PACKET)
        assert (looked.retval, coll.variables["error"].value) == (0, -2), "ENOENT"
        made = await coll.programs["track"].run(PACKET)
        assert (made.retval, coll.variables["error"].value) == (0, 0)
        assert coll.variables["xfrm"].value == -22, "EINVAL"
        assert (await coll.programs["is_tracked"].run(PACKET)).retval == 1


@pytest.mark.requires("a module's variable")
async def test_a_variable_of_a_module_is_read_by_its_type() -> None:
    """Its address is of the module's BTF object, whose descriptor goes with it: the verifier knows the type."""
    async with aiobpf.load(OBJECTS / "modules.bpf.o", programs=["read_variable"]) as coll:
        read = (await coll.programs["read_variable"].run(PACKET)).retval
        assert read >= 100
        assert read % 2 == 0, "nobody is in the rules"


@pytest.mark.requires("modules", "connection tracking kfuncs")
async def test_a_prototype_that_differs_from_a_modules_is_shown_with_it() -> None:
    spec = aiobpf.read_spec(OBJECTS / "modules.bpf.o").programs["wrong_prototype"]
    with pytest.raises(IncompatibleTypeError, match="module 'nf_conntrack' has function 'bpf_ct_release'") as caught:
        await Program.load(spec)
    assert "(struct nf_conn *, int)" in caught.value.expected
    assert "bpf_ct_release(struct nf_conn *" in caught.value.found


async def test_a_function_that_is_misspelt_comes_with_those_that_are_nearly_called_so() -> None:
    spec = aiobpf.read_spec(OBJECTS / "modules.bpf.o").programs["misspelt"]
    spec.attach_to = "vfs_raed"
    with pytest.raises(UnresolvedSymbolError, match="no function 'vfs_raed'; did you mean 'vfs_read'"):
        await Program.load(spec)
