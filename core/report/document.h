// What a report says, as plain data: facts, numbers, tables and pictures under headings, and a
// glossary. Nothing here knows HTML. Texts are UTF-8 and may be hostile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

struct ReportFact {
  std::string name, value;
  bool code = false;  // words of a machine: a command, a hash
};

// A number that the reader sees first.
struct ReportNumber {
  std::string name, value;
  std::string unit = {};    // "" when it has none
  std::string metric = {};  // its name in the glossary; "" when it is not there
};

struct ReportTable {
  std::string title;
  Table table;                          // columns are called as the glossary calls them
  std::vector<std::string> units = {};  // of the columns; shorter: the others have none
  std::vector<std::string> notes = {};  // small print below
  std::int64_t most_rows = 0;           // that are shown; 0: all
  std::string all_rows = {};            // where all of them are, when some are not shown
  bool headed = false;                  // the first column names the row
  bool folded = false;                  // shown when the reader asks for it
};

struct ReportFigure {
  std::string id, title;
  Scene scene;                            // bare: title and caption are the page's
  std::vector<std::string> caption = {};  // lines
  std::string metric = {};                // its name in the glossary; "" when it is not there
  std::vector<ReportTable> tables = {};
};

// What stands under one heading, in this order.
struct ReportPart {
  std::string title;
  int level = 2;                       // of the heading; 3: a part of the one before
  std::vector<std::string> text = {};  // paragraphs
  std::vector<ReportNumber> numbers = {};
  std::vector<ReportFact> facts = {};
  std::vector<ReportTable> tables = {};
  std::vector<ReportFigure> figures = {};
  std::vector<ReportFact> absent = {};  // figures that are not there, and why
};

struct GlossaryWords {
  enum class Face : std::uint8_t { plain, bold, emphasised, code };
  std::string text;
  Face face = Face::plain;
};

struct GlossaryBlock {
  bool item = false;  // of a list; false: a paragraph
  std::vector<GlossaryWords> words;
};

struct GlossaryEntry {
  std::vector<std::string> names;  // of which no other entry has any
  std::string brief;               // one sentence
  std::vector<GlossaryBlock> blocks;
};

struct ReportDocument {
  std::string title;
  std::string lead;       // one line under it
  std::string generator;  // "kappascope 0.1.0"
  std::vector<ReportPart> parts = {};
  std::vector<GlossaryEntry> glossary = {};
};

}  // namespace kappascope
