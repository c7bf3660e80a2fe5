// Names and texts that try to break out of where they are written: none becomes markup, a cell, a
// line, a command or a code.
#include "core/csv_text.h"
#include "core/figure/text.h"
#include "core/report/html.h"
#include "tests/refused/refused.h"

namespace kappascope::refused {
namespace {

const std::string kMarkup = "<script>alert(1)</script>";
const std::string kCdata = "]]>";
const std::string kEntities = "&amp;&#0;";
const std::string kAttribute = "\" onload=\"x\"/>";
const std::string kComment = "--><!--";
const std::string kTerminal = "\x1b]0;owned\x07\x1b[2J";
const std::string kTerminal8 = "\u009b2J";
const std::string kLines = "a\r\nb,\"c\"\u2028d";
const std::string kBidi = "\u202Eevil\u2066";
const std::string kNul = std::string("a\0b", 3);
const std::string kBytes = "\xff\xfe";
const std::string kFormat = "%n%s%999999d{}";
const std::string kFormula = "=cmd|'/c calc'!A1";
const std::string kTex = "\\input{/etc/passwd}$x$#_";
const std::string kImgui = "a##b###c";

template <typename Write>
auto written(const std::string& word, const Write& write) {
  return [=](const TempFolder&) { return write(word); };
}
auto terminal(const std::string& word) {
  return written(word, printable);
}
auto csv(const std::string& word) {
  return written(word, [](const std::string& text) {
    std::string out;
    put_csv_text(out, text);
    return out;
  });
}
auto html(const std::string& word) {
  return written(word, html_escaped);
}
auto svg(const std::string& word) {
  return written(word, [](const std::string& text) { return xml_escaped(plain_text(text)); });
}

Rows terminal_rows() {
  return {
      {"markup in a terminal", terminal(kMarkup), "0 <script>alert(1)</script>"},
      {"end of CDATA in a terminal", terminal(kCdata), "0 ]]>"},
      {"entities in a terminal", terminal(kEntities), "0 &amp;&#0;"},
      {"end of an attribute in a terminal", terminal(kAttribute), "0 \" onload=\"x\"/>"},
      {"end of a comment in a terminal", terminal(kComment), "0 --><!--"},
      {"terminal codes in a terminal", terminal(kTerminal), "0 \\x1b]0;owned\\x07\\x1b[2J"},
      {"8-bit terminal codes in a terminal", terminal(kTerminal8), "0 \\xc2\\x9b2J"},
      {"line breaks in a terminal", terminal(kLines), "0 a\\x0d\\x0ab,\"c\"\\xe2\\x80\\xa8d"},
      {"direction controls in a terminal", terminal(kBidi), "0 \\xe2\\x80\\xaeevil\\xe2\\x81\\xa6"},
      {"NUL in a terminal", terminal(kNul), "0 a\\x00b"},
      {"bytes that are no UTF-8 in a terminal", terminal(kBytes), "0 \\xff\\xfe"},
      {"format directives in a terminal", terminal(kFormat), "0 %n%s%999999d{}"},
      {"spreadsheet formula in a terminal", terminal(kFormula), "0 =cmd|'/c calc'!A1"},
      {"TeX commands in a terminal", terminal(kTex), "0 \\input{/etc/passwd}$x$#_"},
      {"identifiers of Dear ImGui in a terminal", terminal(kImgui), "0 a##b###c"}};
}

Rows csv_file_rows() {
  return {
      {"markup in CSV", csv(kMarkup), "0 <script>alert(1)</script>"},
      {"end of CDATA in CSV", csv(kCdata), "0 ]]>"},
      {"entities in CSV", csv(kEntities), "0 &amp;&\\u00230;"},
      {"end of an attribute in CSV", csv(kAttribute), "0 \\u0022 onload=\\u0022x\\u0022/>"},
      {"end of a comment in CSV", csv(kComment), "0 \\u002d-><!--"},
      {"terminal codes in CSV", csv(kTerminal), "0 \\u001b]0;owned\\u0007\\u001b[2J"},
      {"8-bit terminal codes in CSV", csv(kTerminal8), "0 \\u009b2J"},
      {"line breaks in CSV", csv(kLines), "0 a\\r\\nb\\u002c\\u0022c\\u0022\\u2028d"},
      {"direction controls in CSV", csv(kBidi), "0 \\u202eevil\\u2066"},
      {"NUL in CSV", csv(kNul), "0 a\\u0000b"},
      {"bytes that are no UTF-8 in CSV", csv(kBytes), "0 \\ufffd\\ufffd"},
      {"format directives in CSV", csv(kFormat), "0 \\u0025n\\u0025s\\u0025999999d\\u007b\\u007d"},
      {"spreadsheet formula in CSV", csv(kFormula), "0 \\u003dcmd|'/c calc'!A1"},
      {"TeX commands in CSV", csv(kTex), "0 \\\\input\\u007b/etc/passwd\\u007d$x$\\u0023_"},
      {"identifiers of Dear ImGui in CSV", csv(kImgui),
       "0 a\\u0023\\u0023b\\u0023\\u0023\\u0023c"}};
}

Rows html_rows() {
  return {{"markup in HTML", html(kMarkup), "0 &lt;script&gt;alert(1)&lt;/script&gt;"},
          {"end of CDATA in HTML", html(kCdata), "0 ]]&gt;"},
          {"entities in HTML", html(kEntities), "0 &amp;amp;&amp;#0;"},
          {"end of an attribute in HTML", html(kAttribute), "0 &quot; onload=&quot;x&quot;/&gt;"},
          {"end of a comment in HTML", html(kComment), "0 --&gt;&lt;!--"},
          {"terminal codes in HTML", html(kTerminal), "0 \\x1B]0;owned\\x07\\x1B[2J"},
          {"8-bit terminal codes in HTML", html(kTerminal8), "0 \\x9B2J"},
          {"line breaks in HTML", html(kLines), "0 a\\x0D↵b,&quot;c&quot;\\u2028d"},
          {"direction controls in HTML", html(kBidi), "0 \\u202Eevil\\u2066"},
          {"NUL in HTML", html(kNul), "0 a\\x00b"},
          {"bytes that are no UTF-8 in HTML", html(kBytes), "0 \\xFF\\xFE"},
          {"format directives in HTML", html(kFormat), "0 %n%s%999999d{}"},
          {"spreadsheet formula in HTML", html(kFormula), "0 =cmd|&#39;/c calc&#39;!A1"},
          {"TeX commands in HTML", html(kTex), "0 \\input{/etc/passwd}$x$#_"},
          {"identifiers of Dear ImGui in HTML", html(kImgui), "0 a##b###c"}};
}

Rows svg_rows() {
  return {{"markup in SVG", svg(kMarkup), "0 &lt;script&gt;alert(1)&lt;/script&gt;"},
          {"end of CDATA in SVG", svg(kCdata), "0 ]]&gt;"},
          {"entities in SVG", svg(kEntities), "0 &amp;amp;&amp;#0;"},
          {"end of an attribute in SVG", svg(kAttribute), "0 &quot; onload=&quot;x&quot;/&gt;"},
          {"end of a comment in SVG", svg(kComment), "0 --&gt;&lt;!--"},
          {"terminal codes in SVG", svg(kTerminal), "0 \\x1B]0;owned\\x07\\x1B[2J"},
          {"8-bit terminal codes in SVG", svg(kTerminal8), "0 \\x9B2J"},
          {"line breaks in SVG", svg(kLines), "0 a\\x0D↵b,&quot;c&quot;\\u2028d"},
          {"direction controls in SVG", svg(kBidi), "0 \\u202Eevil\\u2066"},
          {"NUL in SVG", svg(kNul), "0 a\\x00b"},
          {"bytes that are no UTF-8 in SVG", svg(kBytes), "0 \\xFF\\xFE"},
          {"format directives in SVG", svg(kFormat), "0 %n%s%999999d{}"},
          {"spreadsheet formula in SVG", svg(kFormula), "0 =cmd|&#39;/c calc&#39;!A1"},
          {"TeX commands in SVG", svg(kTex), "0 \\input{/etc/passwd}$x$#_"},
          {"identifiers of Dear ImGui in SVG", svg(kImgui), "0 a##b###c"}};
}

}  // namespace

Rows word_rows() {
  return joined({terminal_rows(), csv_file_rows(), html_rows(), svg_rows()});
}

}  // namespace kappascope::refused
