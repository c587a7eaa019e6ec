"""Types as C text."""

from __future__ import annotations

import pytest

from aiobpf.btf import (
    Array,
    Const,
    DataSection,
    DeclTag,
    Enum,
    Enumerator,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    Linkage,
    Member,
    Parameter,
    Pointer,
    Restrict,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    Volatile,
    format_c,
    format_type,
)

INT = Int("int", 4)
CHAR = Int("char", 1)
TASK = Struct("task_struct", 0)
HANDLER = FunctionPrototype(INT, [Parameter("ctx", Pointer(Void())), Parameter("n", INT)])


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (Void(), "void x"),
        (INT, "int x"),
        (Pointer(TASK), "struct task_struct *x"),
        (Pointer(Pointer(CHAR)), "char **x"),
        (Const(Pointer(CHAR)), "char *const x"),
        (Pointer(Const(CHAR)), "const char *x"),
        (Pointer(Const(Volatile(CHAR))), "const volatile char *x"),
        (Restrict(Pointer(CHAR)), "char *restrict x"),
        (Array(INT, INT, 4), "int x[4]"),
        (Array(Array(INT, INT, 4), INT, 2), "int x[2][4]"),
        (Pointer(Array(INT, INT, 4)), "int (*x)[4]"),
        (Array(Pointer(INT), INT, 4), "int *x[4]"),
        (Array(Const(INT), INT, 4), "const int x[4]"),
        (HANDLER, "int x(void *ctx, int n)"),
        (Pointer(HANDLER), "int (*x)(void *ctx, int n)"),
        (Array(Pointer(HANDLER), INT, 3), "int (*x[3])(void *ctx, int n)"),
        (FunctionPrototype(Pointer(INT)), "int *x(void)"),
        (
            FunctionPrototype(Void(), [Parameter("format", Pointer(CHAR)), Parameter("", Void())]),
            "void x(char *format, ...)",
        ),
        (Typedef("u32", INT), "u32 x"),
        (Enum("color"), "enum color x"),
        (Union("u", 0), "union u x"),
        (Forward("f"), "struct f x"),
        (Forward("f", is_union=True), "union f x"),
        (Struct("", 0), "struct {...} x"),
        (Enum(""), "enum {...} x"),
        (Pointer(TypeTag("user", CHAR)), '__attribute__((btf_type_tag("user"))) char *x'),
        (TypeTag("address_space(1)", INT, is_attribute=True), "__attribute__((address_space(1))) int x"),
    ],
)
def test_declarations(type: Type, text: str) -> None:  # noqa: A002
    assert format_type(type, "x") == text
    assert format_type(type, "")  # without a name it is still some text


def test_names_alone() -> None:
    assert format_type(Pointer(HANDLER)) == "int (*)(void *ctx, int n)"
    assert str(Pointer(TASK)) == "struct task_struct *"
    assert str(Function("probe", HANDLER)) == "int probe(void *ctx, int n)"
    assert str(Variable("counter", INT)) == "int counter"
    assert str(DataSection(".bss", 4)) == "/* .bss */"
    assert str(DeclTag("note", TASK)) == '__attribute__((btf_decl_tag("note")))'


def test_definitions() -> None:
    inner = Union("", 8, [Member("i", INT, 0), Member("p", Pointer(TASK), 0)])
    struct = Struct("event", 16, [Member("a", INT, 0, 3), Member("", inner, 64), Member("b", Array(CHAR, INT, 4), 32)])
    assert format_c(struct) == (
        "struct event {\n\tint a : 3;\n\tunion {\n\t\tint i;\n\t\tstruct task_struct *p;\n\t};\n\tchar b[4];\n};"
    )
    assert format_c(Enum("e", 4, True, [Enumerator("A", -1)])) == "enum e {\n\tA = -1,\n};"
    assert format_c(Typedef("t", Pointer(HANDLER))) == "typedef int (*t)(void *ctx, int n);"
    assert format_c(Typedef("s", Struct("", 4, [Member("a", INT, 0)]))) == "typedef struct {\n\tint a;\n} s;"
    assert format_c(Forward("f")) == "struct f;"
    assert format_c(Function("f", HANDLER, Linkage.EXTERN)) == "extern int f(void *ctx, int n);"
    section = DataSection(".bss", 4, [SectionVariable(Variable("n", INT, Linkage.STATIC), 0, 4)])
    assert format_c(section) == "/* .bss */\nstatic int n;"
    assert format_c(INT) == "int;"
