"""Places of a C++ source where a fault can be put in, found in its syntax tree.

Four kinds: a comparison at its bound (< for <=, == for !=), another arithmetic (+ for -, * for /), a
constant (one more, one less, a tenth off; a named one twice as much) and a call whose result
is not used, left out. What has to be known at compile time is passed over. A fault and the original stand
side by side, `(acts(17) ? a <= b : a < b)`, so that one build holds all of them.
"""

import dataclasses
import re

import tree_sitter
import tree_sitter_cpp

KINDS = ("comparison", "arithmetic", "constant", "call")
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"}
ASSIGNED = {sign + "=": other + "=" for sign, other in ARITHMETIC.items() if sign != "%"}
COMPILE_TIME = {"static_assert_declaration", "template_argument_list", "template_parameter_list",
                "enum_specifier", "decltype", "attribute_declaration", "requires_clause",
                "concept_definition", "sizeof_expression", "alignof_expression", "noexcept",
                "bitfield_clause", "ERROR"}
NO_FAULT = {"reserve", "shrink_to_fit", "assert"}  # calls that change no result
LONGEST = 200  # characters of an expression that is written twice


@dataclasses.dataclass(frozen=True)
class Site:
    path: str
    line: int  # from 1
    last_line: int
    start: int  # bytes
    end: int
    kind: str
    fault: str  # the text in place of the original


def changed_number(text, choice):
    """The text of a number near that of `text`, of the same type; None for one that is left alone."""
    if re.fullmatch(r"0[0-7]+", text):
        return None  # octal: rights of a file
    digits = re.fullmatch(r"(0[xX][0-9a-fA-F']+|[0-9']+)([uUlLzZ]*)", text)
    if digits:
        value = int(digits[1].replace("'", ""), 0)
        return str((value + 1, value - 1 if value else 1)[choice]) + digits[2]
    real = re.fullmatch(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)([fFlL]?)", text)
    if not real:
        return None
    value = float(real[1])
    return repr((value * 0.9, value * 1.25)[choice] if value else 1.0) + real[2]


def text_of(node):
    return node.text.decode("utf-8", "replace")


def faulty_binary(node):
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    sign = text_of(node.child_by_field_name("operator"))
    other = {**COMPARISONS, **ARITHMETIC, **ASSIGNED}.get(sign)
    whole = text_of(node)
    if other is None or len(whole) > LONGEST or "{" in whole:
        return None
    kind = "comparison" if sign in COMPARISONS else "arithmetic"
    if kind == "arithmetic" and '"' in whole:  # texts are joined, not added
        return None
    return kind, f"{text_of(left)} {other} {text_of(right)}"


def faulty_constant(node, choice):
    text = text_of(node)
    if node.type == "number_literal":
        changed = changed_number(text, choice)
        return None if changed is None else ("constant", changed)
    declared = node.parent.child_by_field_name("declarator")
    is_declared = declared is not None and declared.id == node.id
    if not re.fullmatch(r"k[A-Z]\w*", text) or text == "kNaN" or is_declared:
        return None
    return "constant", (f"{text} + 1", f"{text} * 2")[choice]


def left_out_call(node):
    call = node.named_children[0] if node.named_child_count == 1 else None
    if call is None or call.type != "call_expression":
        return None
    name = re.search(r"(\w+)(?:<.*>)?$", text_of(call.child_by_field_name("function")), re.DOTALL)
    return None if name is None or name[1] in NO_FAULT else call


def known_at_compile_time(node):
    if node.type in COMPILE_TIME or node.type.startswith("preproc_"):
        return True
    if node.type in ("declaration", "function_definition", "field_declaration"):
        return any(child.type == "type_qualifier" and text_of(child) in ("constexpr", "consteval")
                   for child in node.children)
    parent = node.parent
    if parent is None:
        return False
    if parent.type == "case_statement" or parent.type == "array_declarator":
        named = parent.child_by_field_name("value" if parent.type == "case_statement" else "size")
        return named is not None and named.id == node.id
    return node.type == "condition_clause" and any(c.type == "constexpr" for c in parent.children)


def found_at(node, choice):
    """(kind, node to be replaced, fault) or None."""
    if node.type in ("binary_expression", "assignment_expression"):
        fault = faulty_binary(node)
    elif node.type in ("number_literal", "identifier"):
        fault = faulty_constant(node, choice)
    elif node.type == "expression_statement":
        call = left_out_call(node)
        return None if call is None else ("call", call, "void()")
    else:
        return None
    return None if fault is None else (fault[0], node, fault[1])


def sites(path, source, random):
    """Every site of a source (bytes), in its order; `random` chooses between two faults of one."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_cpp.language()))
    found, waiting = [], [parser.parse(source).root_node]
    while waiting:
        node = waiting.pop()
        if known_at_compile_time(node):
            continue
        waiting.extend(reversed(node.children))
        site = found_at(node, random.randrange(2)) if node.is_named else None
        if site is not None:
            kind, place, fault = site
            found.append(Site(path, place.start_point[0] + 1, place.end_point[0] + 1,
                              place.start_byte, place.end_byte, kind, fault))
    return found


def overlaps(site, others):
    return any(site.path == other.path and site.start < other.end and other.start < site.end
               for other in others)


def with_faults(source, numbered, header):
    """The source with each (number, site) beside the original. Lines keep their numbers."""
    for number, site in sorted(numbered, key=lambda pair: -pair[1].start):
        original = source[site.start:site.end].decode()
        if site.kind == "call":
            original = f"static_cast<void>({original})"
        elif site.kind != "constant":
            original = f"({original})"
        both = f"(kappascope_mutants::acts({number}) ? ({site.fault}) : {original})"
        source = source[:site.start] + both.encode() + source[site.end:]
    return f'#include "{header}"\n#line 1\n'.encode() + source
