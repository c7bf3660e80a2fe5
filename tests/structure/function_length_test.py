"""No function over 80 lines, nine of ten at most 30, no file over 400."""

import ast
import re

from sources import report, sources

FUNCTION_LINES = 80
MOST_LINES = 30  # of nine functions in ten
FILE_LINES = 400
ONE_FILE = "assets/python/kappascope_trace.py"  # which people copy beside a notebook: it is not cut in two
ENDINGS = (".h", ".cpp", ".cu", ".py", ".sh", ".cmake", "CMakeLists.txt", "Makefile")
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


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield min([node.lineno] + [one.lineno for one in node.decorator_list]), node.end_lineno


def script_functions(text):
    """Of shell and CMake, where a function starts and ends at the margin."""
    first = None
    for line, words in enumerate(text.splitlines(), 1):
        if first is None and re.match(r"\w+ *\(\) *\{|(?:function|macro)\(", words):
            first = line
        of_one_line = first == line and words.endswith("}")
        if first is not None and (of_one_line or re.match(r"\}|end(?:function|macro)\(", words)):
            yield first, line
            first = None


def functions(path, text):
    """(first line, last line) of each outermost function, its head included; of each in Python."""
    if path.endswith(".py"):
        return python_functions(text)
    if path.endswith((".h", ".cpp", ".cu")):
        return braced_functions(text)
    return script_functions(text)


def braced_functions(text):
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
        if lines > FILE_LINES and str(path) != ONE_FILE:
            yield f"{path}: {lines} lines; at most {FILE_LINES}"
        for first, last in functions(path, text):
            if last - first + 1 > FUNCTION_LINES:
                yield f"{path}:{first}: a function of {last - first + 1} lines; " \
                      f"at most {FUNCTION_LINES}"


def ninth_decile(files):
    lengths = sorted(last - first + 1 for path, text in files.items()
                     for first, last in functions(path, text))
    return lengths[len(lengths) * 9 // 10]


def check_itself():
    def body(lines):
        return "".join(f"  if (a) {{ call('{{', \"}}\", 1'000); }}  // {{\n" for _ in range(lines))

    head = "#include <a>\nnamespace a {\nnamespace {\n"
    long = head + "// Says what.\nint f(int a,\n      int b) {\n" + body(78) + "}\n}\n}\n"
    assert list(braced_functions(long)) == [(5, 85)], list(braced_functions(long))
    short = head + "struct S {\n  int f() const { return 1; }\n" + "  int a;\n" * 90 + "};\n"
    assert [last - first for first, last in braced_functions(short)] == [0]
    method = head + "class S : public B<int()> {\n public:\n" \
        "  void f()\n      override {\n" + body(80) + "  }\n};\n"
    assert list(braced_functions(method)) == [(6, 88)], list(braced_functions(method))
    template = "template <class T>\nstruct S : B<f()> {\n" + "  int a;\n" * 90 + "};\n" \
        "template <class T>\nvoid g(T a) {\n}\n"
    assert list(braced_functions(template)) == [(94, 96)], list(braced_functions(template))
    table = "constexpr A kA[f(2)] = {\n" + "  {1},\n" * 90 + "};\n"
    assert not list(braced_functions(table)), list(braced_functions(table))
    constructor = "S::S(int a)\n    : a_{a}, b_(a) {\n" + body(90) + "}\n"
    assert list(braced_functions(constructor))[-1][1] == 93, list(braced_functions(constructor))
    assert len(list(faults_of({"a.cpp": constructor}))) == 1
    assert len(list(faults_of({"a.cpp": long}))) == 1
    assert len(list(faults_of({"a.cpp": "int a;\n" * 401}))) == 1
    assert not list(faults_of({"a.cpp": short}))
    python = "class S:\n    @property\n    def f(self):\n" + "        a = 1\n" * 79 + "b = 1\n"
    assert list(functions("a.py", python)) == [(2, 82)], list(functions("a.py", python))
    shell = "f() {\n" + "  if a; then { b; }\n  fi\n" * 40 + "}\ng() { a; }\n"
    assert list(functions("a.sh", shell))[0] == (1, 82), list(functions("a.sh", shell))
    cmake = "function(f)\n" + "  g()\n" * 79 + "endfunction()\n"
    assert list(functions("CMakeLists.txt", cmake)) == [(1, 81)]
    for path, text in (("a.py", python), ("a.sh", shell), ("a.cmake", cmake)):
        assert len(list(faults_of({path: text}))) == 1, path
        assert len(list(faults_of({path: "\n" * 401}))) == 1, path


check_itself()
found = sources(None, ENDINGS)
faults = list(faults_of(found))
if ninth_decile(found) > MOST_LINES:
    faults.append(f"one function in ten has over {ninth_decile(found)} lines; at most {MOST_LINES}")
report("function length", faults, len(found))
