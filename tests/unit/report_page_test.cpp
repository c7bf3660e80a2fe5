#include "core/report/page.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/figure/render.h"
#include "core/report/html.h"
#include "core/report/page_look.h"
#include "figure_fixture.h"

namespace kappascope {
namespace {

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

// Every text of the page is `word`.
ReportDocument page_of(const std::string& word) {
  ReportTable table{.title = word, .headed = true};
  table.table.rows = 2;
  table.table.columns = {{word, std::vector<std::string>{word, word}},
                         {"value", std::vector<double>{1.25, kNaN}}};
  table.units = {word, word};
  table.notes = {word};
  table.most_rows = 1;
  table.all_rows = word;
  Figure figure = mark_figure();
  figure.title = figure.subtitle = word;
  FigureStyle style;
  style.bare = true;
  ReportFigure one{.id = word, .title = word, .scene = {}, .caption = {word}, .metric = "value"};
  one.scene = draw_figure(figure, style, FigureFormat::svg);
  ReportPart part{.title = word};
  part.text = {word};
  part.numbers = {{word, word, word, word}};
  part.facts = part.absent = {{word, word, true}};
  part.tables = {table};
  part.figures = {one, one};
  GlossaryEntry entry{.names = {"value", word}, .brief = word, .blocks = {}};
  entry.blocks = {{.item = false, .words = {{word, GlossaryWords::Face::plain}}},
                  {.item = true, .words = {{word, GlossaryWords::Face::code}}}};
  return {
      .title = word, .lead = word, .generator = word, .parts = {part, part}, .glossary = {entry}};
}

// What an attacker would put into names of models and files, and into texts.
std::vector<std::string> words_against_html() {
  std::vector<std::string> words = hostile_words();
  for (const char* word :
       {"</script><img src=x onerror=alert(1)>", "]]>", "'\"><svg onload=alert(1)>", "</style><b>",
        "</title><b>", "<!--", "&lt;script&gt;", "javascript:alert(1)"}) {
    words.emplace_back(word);
  }
  return words;
}

// Names of elements in order: the structure without the words. Clips and paths are of the figure.
std::string elements_of(const std::string& html) {
  std::string names;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    names += html.substr(at, html.find_first_of(" >/", at + 2) - at) + " ";
  }
  return names;
}

TEST(ReportPage, HostileWordsAreText) {
  const std::string harmless = to_html(page_of("word"));
  for (const std::string& word : words_against_html()) {
    const std::string html = to_html(page_of(word));
    EXPECT_EQ(occurrences(html, "<script"), 1u) << word;
    EXPECT_EQ(occurrences(html, "</script"), 1u) << word;
    EXPECT_EQ(occurrences(html, "<style"), 1u) << word;
    EXPECT_EQ(occurrences(html, "<img"), 0u) << word;
    EXPECT_EQ(occurrences(html, "<!--"), 0u) << word;
    EXPECT_EQ(occurrences(html, "onerror=alert(1)>"), 0u) << word;
    for (const char control : {'\0', '\x01', '\x1b'}) {
      EXPECT_EQ(html.find(control), std::string::npos) << word;
    }
    if (word.empty()) { continue; }  // units without words are left out
    // Names may have room for line breaks.
    const auto parts = [](const std::string& page) {
      std::string names = elements_of(page.substr(0, page.find("<svg")));
      for (std::size_t at; (at = names.find("<wbr ")) != std::string::npos;) { names.erase(at, 5); }
      return names;
    };
    EXPECT_EQ(parts(html), parts(harmless)) << word;
  }
}

TEST(ReportPage, EscapesWhatMarkupIsMadeOf) {
  EXPECT_EQ(html_escaped("</script><img onerror=\"'&"),
            "&lt;/script&gt;&lt;img onerror=&quot;&#39;&amp;");
  EXPECT_EQ(html_escaped("a]]>b"), "a]]&gt;b");
  EXPECT_EQ(html_escaped(std::string("a\0\x1b\x7f", 4)).find_first_of(std::string("\0\x1b\x7f", 3)),
            std::string::npos);
  EXPECT_EQ(html_escaped("\u202E").find("\u202E"), std::string::npos);
  EXPECT_EQ(id_word("a b\"<κ"), "a-b----");
}

TEST(ReportPage, IdsAreUniqueAndLeadSomewhere) {
  const std::string html = to_html(page_of("word"));
  std::set<std::string> ids;
  for (std::size_t at = html.find(" id=\""); at != std::string::npos;
       at = html.find(" id=\"", at + 1)) {
    const std::size_t begin = at + 5;
    EXPECT_TRUE(ids.insert(html.substr(begin, html.find('"', begin) - begin)).second);
  }
  EXPECT_GT(ids.size(), 10u);
  for (const std::string mark : {"href=\"#", "url(#"}) {
    for (std::size_t at = html.find(mark); at != std::string::npos; at = html.find(mark, at + 1)) {
      const std::size_t begin = at + mark.size();
      const std::string id = html.substr(begin, html.find_first_of("\")", begin) - begin);
      EXPECT_TRUE(ids.contains(id)) << id;
    }
  }
}

TEST(ReportPage, SameDocumentSameBytes) {
  EXPECT_EQ(to_html(page_of("word")), to_html(page_of("word")));
}

TEST(ReportPage, ThePolicyNamesTheOneScript) {
  const std::string html = to_html(page_of("word"));
  EXPECT_NE(html.find("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"),
            std::string::npos);
  EXPECT_NE(html.find(script_source(kPageScript)), std::string::npos);
  EXPECT_NE(html.find("<script>" + std::string(kPageScript) + "</script>"), std::string::npos);
  EXPECT_EQ(script_source("alert('Hello, world.');"),  // the example of the W3C's recommendation
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='");
}

TEST(ReportPage, NumbersKeepTheirDigitsAndCutsAreSaid) {
  const std::string html = to_html(page_of("word"));
  EXPECT_NE(html.find("data-v=\"1.25\""), std::string::npos);
  EXPECT_NE(html.find("The first 1 of 2 rows"), std::string::npos);
  EXPECT_EQ(html.find("data-v=\"nan\""), std::string::npos);
}

}  // namespace
}  // namespace kappascope
