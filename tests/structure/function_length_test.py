"""No function over 80 lines, nine of ten at most 30, no file over 400."""

import re

from sources import report, sources

FUNCTION_LINES = 80
MOST_LINES = 30  # of nine functions in ten
FILE_LINES = 400
# Comments, literals (raw ones with their delimiter) and preprocessor lines hold braces that are
# none. A quote between digits is a separator: 1'000.
NOISE = re.compile(
    r'//(?:\\\n|[^\n])*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE)
# A class or namespace, perhaps behind a template head or attribute; `struct S` as a parameter is
# none.
SCOPE = re.compile(r"(?:^|>|\]\])\s*(?:(?:inline|static|const|constexpr|typedef)\s+)*"
                   r"(?:namespace|class|struct|union|enum)\b")


def without_noise(text):
    return NOISE.sub(lambda noise: "\n" * noise.group().count("\n"), text)


def opens_function(head):
    """Whether the brace after this text, a statement so far, opens a function's body."""
    head = head.strip()
    return "(" in head and not head.endswith("=") and not SCOPE.search(head)


def functions(text):
    """(first line, last line) of each outermost function, its head included."""
    text = without_noise(text)
    stack, function_depth, first, line, start, head = [], None, 0, 1, 1, ""
    for character in text:
        if character == "\n":
            line += 1
        if character == "{":
            if function_depth is None and opens_function(head):
                function_depth, first = len(stack), start
            stack.append(character)
            head = ""
        elif character == "}":
            if stack:
                stack.pop()
            if function_depth == len(stack):
                function_depth = None
                yield first, line
            head = ""
        elif character == ";" and head.count("(") <= head.count(")"):
            head = ""
        elif character == ":" and head.strip() in ("public", "protected", "private"):
            head = ""
        else:
            if not head.strip():
                start = line
            head += character


def faults_of(files):
    for path, text in files.items():
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{path}: {lines} lines; at most {FILE_LINES}"
        for first, last in functions(text):
            if last - first + 1 > FUNCTION_LINES:
                yield f"{path}:{first}: a function of {last - first + 1} lines; " \
                      f"at most {FUNCTION_LINES}"


def ninth_decile(files):
    lengths = sorted(last - first + 1 for text in files.values() for first, last in functions(text))
    return lengths[len(lengths) * 9 // 10]


def check_itself():
    def body(lines):
        return "".join(f"  if (a) {{ call('{{', \"}}\", 1'000); }}  // {{\n" for _ in range(lines))

    head = "#include <a>\nnamespace a {\nnamespace {\n"
    long = head + "// Says what.\nint f(int a,\n      int b) {\n" + body(78) + "}\n}\n}\n"
    assert list(functions(long)) == [(5, 85)], list(functions(long))
    short = head + "struct S {\n  int f() const { return 1; }\n" + "  int a;\n" * 90 + "};\n"
    assert [last - first for first, last in functions(short)] == [0]
    method = head + "class S : public B<int()> {\n public:\n" \
        "  void f()\n      override {\n" + body(80) + "  }\n};\n"
    assert list(functions(method)) == [(6, 88)], list(functions(method))
    template = "template <class T>\nstruct S : B<f()> {\n" + "  int a;\n" * 90 + "};\n" \
        "template <class T>\nvoid g(T a) {\n}\n"
    assert list(functions(template)) == [(94, 96)], list(functions(template))
    table = "constexpr A kA[f(2)] = {\n" + "  {1},\n" * 90 + "};\n"
    assert not list(functions(table)), list(functions(table))
    constructor = "S::S(int a)\n    : a_{a}, b_(a) {\n" + body(90) + "}\n"
    assert list(functions(constructor))[-1][1] == 93, list(functions(constructor))
    assert len(list(faults_of({"a.cpp": constructor}))) == 1
    assert len(list(faults_of({"a.cpp": long}))) == 1
    assert len(list(faults_of({"a.cpp": "int a;\n" * 401}))) == 1
    assert not list(faults_of({"a.cpp": short}))


check_itself()
found = sources()
faults = list(faults_of(found))
if ninth_decile(found) > MOST_LINES:
    faults.append(f"one function in ten has over {ninth_decile(found)} lines; at most {MOST_LINES}")
report("function length", faults, len(found))
