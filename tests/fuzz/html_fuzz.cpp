// Any texts in a report: the page has the elements and attributes of one of harmless texts, in the
// same order, and no other script.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "core/nan.h"
#include "core/report/page.h"
#include "tests/fuzz/targets.h"

namespace {

using namespace kappascope;

constexpr const char* kMetric = "name_of_the_glossary";  // which no text has by chance

class Words {
 public:
  explicit Words(FuzzedDataProvider* data) : data_(data) {}  // nullptr: harmless ones
  std::string operator()() {
    std::string text = data_ ? data_->ConsumeRandomLengthString(48) : "";
    return text.empty() || text == kMetric ? "word" : text;  // the metric's name has a link
  }

 private:
  FuzzedDataProvider* data_;
};

ReportDocument page_of(Words& word) {
  ReportTable table{.title = word(), .headed = true};
  table.table.rows = 2;
  table.table.columns = {{word(), std::vector<std::string>{word(), word()}},
                         {kMetric, std::vector<double>{1.25, kNaN}}};
  table.units = {word(), word()};
  table.notes = {word()};
  table.most_rows = 1;
  table.all_rows = word();
  ReportPart part{.title = word()};
  part.text = {word()};
  part.numbers = {{word(), word(), word(), word()}};
  part.facts = {{word(), word(), true}, {word(), word(), false}};
  part.absent = {{word(), word(), false}};
  part.tables = {table};
  GlossaryEntry entry{.names = {kMetric}, .brief = word(), .blocks = {}};
  entry.blocks = {{.item = false, .words = {{word(), GlossaryWords::Face::plain}}},
                  {.item = true, .words = {{word(), GlossaryWords::Face::code}}}};
  return {
      .title = word(), .lead = word(), .generator = word(), .parts = {part}, .glossary = {entry}};
}

// A tag by its name and those of its attributes; texts and values between them are left out, and
// so are the places where a long name may be divided.
std::string structure_of(const std::string& html) {
  std::string names;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    std::string tag;
    bool quoted = false;
    for (++at; at < html.size() && (quoted || html[at] != '>'); ++at) {
      if (html[at] == '"') {
        quoted = !quoted;
      } else if (!quoted) {
        tag += html[at];
      }
    }
    if (tag != "wbr") { names += tag + "\n"; }
  }
  return names;
}

}  // namespace

void kappascope::testing::fuzz_html(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  Words words(&data), harmless(nullptr);
  static const std::string kStructure = structure_of(to_html(page_of(harmless)));
  if (structure_of(to_html(page_of(words))) != kStructure) { std::abort(); }
}
