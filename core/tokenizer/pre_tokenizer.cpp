#include "core/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/tokenizer/component.h"

namespace kappascope {
namespace {

using Piece = PreTokenizer::Piece;
using Split = PreTokenizer::Split;
using Metaspace = PreTokenizer::Metaspace;

constexpr std::string_view kPreTokenizers =
    "ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, "
    "CharDelimiterSplit, Sequence";

// GPT-2's words.
constexpr std::string_view kByteLevelRegex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior read_behavior(const Component& component) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::removed},
       {"Isolated", SplitBehavior::isolated},
       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
       {"MergedWithNext", SplitBehavior::merged_with_next},
       {"Contiguous", SplitBehavior::contiguous}}};
  const std::string& name = component.text("behavior");
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) { return behavior; }
  }
  fail(ExitCode::unsupported, {component.file()}, component.place(),
       ".behavior; expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, ",
       "found ", found_text(component.at("behavior")));
}

Metaspace read_metaspace(const Component& component) {
  using Prepend = Metaspace::Prepend;
  Metaspace step{component.character("replacement"), Prepend::always,
                 component.flag("split", true)};
  if (const Json* scheme = component.find("prepend_scheme")) {
    constexpr std::array<std::pair<std::string_view, Prepend>, 3> kSchemes = {
        {{"always", Prepend::always}, {"first", Prepend::first}, {"never", Prepend::never}}};
    const auto known = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const auto& one) {
      return scheme->is_string() && one.first == scheme->get_ref<const std::string&>();
    });
    require(known != kSchemes.end(), ExitCode::unsupported, {component.file()}, component.place(),
            ".prepend_scheme; expected always, first or never, found ", found_text(*scheme));
    step.prepend = known->second;
    require(component.flag("add_prefix_space", true) || step.prepend == Prepend::never,
            ExitCode::damaged, {component.file()}, component.place(),
            ".add_prefix_space; expected true, as prepend_scheme says, found false");
  } else if (!component.flag("add_prefix_space", true)) {
    step.prepend = Prepend::never;
  }
  return step;
}

// The text anew, piece by piece: `write` is called with each piece and puts its new form into the
// builder.
template <typename Write>
void rewrite(AlignedText& text, std::vector<Piece>& pieces, const Write& write) {
  AlignedText::Builder builder(text);
  for (Piece& piece : pieces) {
    const std::size_t begin = builder.size();
    write(builder, piece);
    piece = {begin, builder.size()};
  }
  text = builder.take();
}

void add_prefix_spaces(AlignedText& text, std::vector<Piece>& pieces) {
  rewrite(text, pieces, [&](AlignedText::Builder& builder, const Piece& piece) {
    if (text.text()[piece.begin] != ' ') { builder.insert(" ", piece.begin); }
    builder.keep(piece.begin, piece.end);
  });
}

void apply(const Metaspace& step, AlignedText& text, std::vector<Piece>& pieces) {
  const std::string& sign = step.replacement;
  rewrite(text, pieces, [&](AlignedText::Builder& builder, const Piece& piece) {
    const std::string_view bytes = text.text();
    const bool starts = bytes[piece.begin] == ' ' || bytes.substr(piece.begin).starts_with(sign);
    const bool first = text.origin(piece.begin).begin == 0;
    if (!starts && (step.prepend == Metaspace::Prepend::always ||
                    (step.prepend == Metaspace::Prepend::first && first))) {
      builder.insert(sign, piece.begin);
    }
    for (std::size_t at = piece.begin; at < piece.end;) {
      const std::size_t space = std::min(bytes.find(' ', at), piece.end);
      builder.keep(at, space);
      if (space < piece.end) { builder.add(sign, text.origin(space)); }
      at = space + 1;
    }
  });
  if (!step.split) { return; }
  std::vector<Piece> cut;
  for (const Piece& piece : pieces) {
    std::size_t begin = piece.begin;
    for (std::size_t at = begin + 1; at < piece.end; ++at) {
      if (!text.text().substr(at).starts_with(sign)) { continue; }
      cut.push_back({begin, at});
      begin = at;
    }
    cut.push_back({begin, piece.end});
  }
  pieces = std::move(cut);
}

void join_contiguous(std::vector<TextPart>& parts) {
  std::size_t count = 0;
  for (const TextPart& part : parts) {
    if (count > 0 && parts[count - 1].matched == part.matched) {
      parts[count - 1].end = part.end;
    } else {
      parts[count++] = part;
    }
  }
  parts.resize(count);
}

// Matches join the part before them, unless that ends with a match.
void join_to_previous(std::vector<TextPart>& parts) {
  std::size_t count = 0;
  bool after_match = false;
  for (const TextPart& part : parts) {
    if (count > 0 && part.matched && !after_match) {
      parts[count - 1].end = part.end;
    } else {
      parts[count++] = part;
    }
    after_match = part.matched;
  }
  parts.resize(count);
}

void join_to_next(std::vector<TextPart>& parts) {
  std::size_t first = parts.size();
  bool before_match = false;
  for (std::size_t i = parts.size(); i-- > 0;) {
    const TextPart part = parts[i];
    if (first < parts.size() && part.matched && !before_match) {
      parts[first].begin = part.begin;
    } else {
      parts[--first] = part;
    }
    before_match = part.matched;
  }
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(first));
}

}  // namespace

void PreTokenizer::read_step(const Json& json, const std::string& place, std::string_view file) {
  const Component component(json, place, file);
  const std::string& type = component.type();
  require(!byte_level_, ExitCode::unsupported, {file}, place, " (", type,
          ") follows ByteLevel; expected ByteLevel last");
  const auto split_class = [&](TextPattern::CharacterClass is_member, SplitBehavior behavior) {
    steps_.push_back(Split{TextPattern::of_class(is_member), behavior});
  };
  if (type == "Sequence") {
    const Json& list = component.list("pretokenizers");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_step(list[i], join_words(place, ".pretokenizers[", i, "]"), file);
    }
  } else if (type == "ByteLevel") {
    if (component.flag("add_prefix_space")) { steps_.push_back(PrefixSpace{}); }
    if (component.flag("use_regex", true)) {
      steps_.push_back(Split{TextPattern::of_regex(kByteLevelRegex, file)});
    }
    byte_level_ = true;
  } else if (type == "Split") {
    TextPattern pattern = TextPattern::read(component.at("pattern"), place, file);
    steps_.push_back(Split{std::move(pattern), read_behavior(component), component.flag("invert")});
  } else if (type == "Metaspace") {
    steps_.push_back(read_metaspace(component));
  } else if (type == "Digits") {
    split_class(is_numeric, component.flag("individual_digits") ? SplitBehavior::isolated
                                                                : SplitBehavior::contiguous);
  } else if (type == "Punctuation") {
    split_class(is_punctuation, component.find("behavior") == nullptr ? SplitBehavior::isolated
                                                                      : read_behavior(component));
  } else if (type == "Whitespace") {
    // The library's \w is not that of patterns here: is_word() of text_pattern.h.
    const std::string word = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9})"
                             R"(\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
    TextPattern words = TextPattern::of_regex("[" + word + "]+|[^\\s" + word + "]+", file);
    steps_.push_back(Split{std::move(words), SplitBehavior::removed, true});
  } else if (type == "WhitespaceSplit") {
    split_class(is_space, SplitBehavior::removed);
  } else if (type == "CharDelimiterSplit") {
    steps_.push_back(
        Split{TextPattern::of_string(component.character("delimiter")), SplitBehavior::removed});
  } else {
    component.refuse_type(kPreTokenizers);
  }
}

PreTokenizer PreTokenizer::read(const Json& json, std::string_view file) {
  PreTokenizer result;
  if (!json.is_null()) { result.read_step(json, "pre_tokenizer", file); }
  require(result.steps_.size() <= kMostSteps, ExitCode::unsupported, {file},
          "pre_tokenizer; expected at most ", kMostSteps, " steps, found ", result.steps_.size());
  return result;
}

const Metaspace* PreTokenizer::metaspace() const {
  for (const Step& step : steps_) {
    if (const auto* found = std::get_if<Metaspace>(&step)) { return found; }
  }
  return nullptr;
}

PreTokenizer::Cutter::Cutter(const PreTokenizer& pre_tokenizer, std::string_view source)
    : pre_tokenizer_(pre_tokenizer) {
  for (const Step& step : pre_tokenizer.steps_) {
    if (const auto* split = std::get_if<Split>(&step)) {
      searches_.emplace_back(split->pattern, source);
    }
  }
}

void PreTokenizer::Cutter::cut(AlignedText& text, std::vector<Piece>& pieces) {
  pieces.clear();
  if (text.text().empty()) { return; }
  pieces.push_back({0, text.text().size()});
  std::size_t search = 0;
  for (const Step& step : pre_tokenizer_.steps_) {
    if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
      apply(*metaspace, text, pieces);
    } else if (const auto* splitting = std::get_if<Split>(&step)) {
      split(*splitting, searches_[search++], text.text(), pieces);
    } else {
      add_prefix_spaces(text, pieces);
    }
  }
}

void PreTokenizer::Cutter::split(const Split& step, TextPattern::Search& search,
                                 std::string_view text, std::vector<Piece>& pieces) {
  cut_.clear();
  for (const Piece& piece : pieces) {
    search.cut(text.substr(piece.begin, piece.end - piece.begin), parts_);
    for (TextPart& part : parts_) { part.matched = part.matched != step.invert; }
    switch (step.behavior) {
      case SplitBehavior::contiguous:
        join_contiguous(parts_);
        break;
      case SplitBehavior::merged_with_previous:
        join_to_previous(parts_);
        break;
      case SplitBehavior::merged_with_next:
        join_to_next(parts_);
        break;
      case SplitBehavior::isolated:
      case SplitBehavior::removed:
        break;
    }
    for (const TextPart& part : parts_) {
      if (step.behavior == SplitBehavior::removed && part.matched) { continue; }
      if (part.begin < part.end) {
        cut_.push_back({piece.begin + part.begin, piece.begin + part.end});
      }
    }
  }
  pieces.swap(cut_);
}

}  // namespace kappascope
