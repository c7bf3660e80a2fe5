#include "core/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <optional>
#include <utility>

#include "core/tokenizer/component.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Step = Normalizer::Step;

constexpr std::string_view kNormalizers =
    "NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Prepend, Replace, Strip, StripAccents, Sequence";

// A kind that has no fields.
std::optional<Step> plain_step(std::string_view type) {
  if (type == "NFC") { return UnicodeForm::nfc; }
  if (type == "NFD") { return UnicodeForm::nfd; }
  if (type == "NFKC") { return UnicodeForm::nfkc; }
  if (type == "NFKD") { return UnicodeForm::nfkd; }
  if (type == "Lowercase") { return Normalizer::Characters::lowercase; }
  if (type == "Nmt") { return Normalizer::Characters::nmt; }
  if (type == "StripAccents") { return Normalizer::Characters::strip_accents; }
  return {};
}

// A text may grow this many times over by what is put into it, and a little more.
constexpr std::size_t kMostGrowth = 64;
constexpr std::size_t kLeastLimit = std::size_t{1} << 16;

void read_steps(const Json& json, const std::string& place, std::string_view file,
                std::vector<Step>& steps) {
  const Component component(json, place, file);
  const std::string& type = component.type();
  if (type == "Sequence") {
    const Json& list = component.list("normalizers");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_steps(list[i], join_words(place, ".normalizers[", i, "]"), file, steps);
    }
  } else if (type == "Prepend") {
    steps.push_back(Normalizer::Prepend{component.text("prepend")});
  } else if (type == "Replace") {
    TextPattern pattern = TextPattern::read(component.at("pattern"), place, file);
    steps.push_back(Normalizer::Replace{std::move(pattern), component.text("content")});
  } else if (type == "Strip") {
    steps.push_back(Normalizer::Strip{component.flag("strip_left"), component.flag("strip_right")});
  } else if (auto step = plain_step(type)) {
    steps.push_back(std::move(*step));
  } else {
    component.refuse_type(kNormalizers);
  }
}

void check_growth(const AlignedText::Builder& builder, std::size_t limit, std::string_view source) {
  require(builder.size() <= limit, ExitCode::damaged, {source},
          "the tokenizer's normalizer makes the text grow beyond ", limit, " bytes");
}

void replace(const Normalizer::Replace& step, AlignedText& text, std::size_t limit,
             std::string_view source) {
  std::vector<TextPart> parts;
  TextPattern::Search(step.pattern, source).cut(text.text(), parts);
  AlignedText::Builder builder(text);
  bool changes = false;
  for (const TextPart& part : parts) {
    changes = changes || part.matched;
    if (!part.matched) {
      builder.keep(part.begin, part.end);
    } else if (part.begin < part.end) {
      builder.add(step.content, text.origin(part.begin, part.end));
    } else {
      builder.insert(step.content, part.begin);
    }
    check_growth(builder, limit, source);
  }
  if (changes) { text = builder.take(); }
}

void strip(const Normalizer::Strip& step, AlignedText& text) {
  const std::string_view bytes = text.text();
  std::size_t begin = 0;
  std::size_t end = 0;  // behind the last character that is no space
  bool leading = true;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint code = decode_utf8(bytes, at);
    at += code.length;
    const bool space = is_space(code.value);
    if (leading && space) { begin = at; }
    leading = leading && space;
    if (!space) { end = at; }
  }
  if (!step.left) { begin = 0; }
  if (!step.right) { end = bytes.size(); }
  if (begin == 0 && end == bytes.size()) { return; }
  AlignedText::Builder builder(text);
  if (begin < end) { builder.keep(begin, end); }
  text = builder.take();
}

void remove_extra_spaces(AlignedText& text) {
  const std::string_view bytes = text.text();
  const std::size_t last = bytes.find_last_not_of(' ');
  AlignedText::Builder builder(text);
  for (std::size_t at = 0; last != bytes.npos && at <= last; ++at) {
    const bool extra = bytes[at] == ' ' && (at == 0 || bytes[at - 1] == ' ');
    if (!extra) { builder.keep(at, at + 1); }
  }
  text = builder.take();
}

// What the `tokenizers` library takes out, and what it takes for a space.
std::u32string nmt(char32_t code) {
  const bool control = (code >= 1 && code <= 8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
                       code == 0x7F || code == 0x8F || code == 0x9F;
  if (control) { return {}; }
  const bool space = code == 9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
                     (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                     code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  return {space ? U' ' : code};
}

std::u32string changed(Normalizer::Characters step, char32_t code) {
  switch (step) {
    case Normalizer::Characters::lowercase:
      if (code == 0x130) { return U"i\u0307"; }  // the only one that becomes two
      return {static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)))};
    case Normalizer::Characters::strip_accents:
      return is_mark(code) ? std::u32string() : std::u32string{code};
    case Normalizer::Characters::nmt:
      return nmt(code);
  }
  fail(ExitCode::internal, {}, "unknown step of a normalizer");
}

void change_characters(Normalizer::Characters step, AlignedText& text) {
  const std::string_view bytes = text.text();
  AlignedText::Builder builder(text);
  std::string after;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint code = decode_utf8(bytes, at);
    after.clear();
    for (const char32_t to : changed(step, code.value)) { append_utf8(after, to); }
    if (after == bytes.substr(at, code.length)) {
      builder.keep(at, at + code.length);
    } else {
      builder.add(after, text.origin(at, at + code.length));
    }
    at += code.length;
  }
  text = builder.take();
}

void prepend(const Normalizer::Prepend& step, AlignedText& text, std::size_t limit,
             std::string_view source) {
  const std::size_t size = text.text().size();
  if (size == 0) { return; }
  AlignedText::Builder builder(text);
  builder.insert(step.text, 0);
  check_growth(builder, limit, source);
  builder.keep(0, size);
  text = builder.take();
}

}  // namespace

Normalizer Normalizer::read(const Json& json, std::string_view file) {
  std::vector<Step> steps;
  if (!json.is_null()) { read_steps(json, "normalizer", file, steps); }
  require(steps.size() <= kMostSteps, ExitCode::unsupported, {file},
          "normalizer; expected at most ", kMostSteps, " steps, found ", steps.size());
  return Normalizer(std::move(steps));
}

void Normalizer::apply(AlignedText& text, std::string_view source) const {
  struct Apply {
    AlignedText& text;
    std::size_t limit;
    std::string_view source;
    void operator()(const Prepend& step) const { prepend(step, text, limit, source); }
    void operator()(const Replace& step) const { replace(step, text, limit, source); }
    void operator()(const Strip& step) const { strip(step, text); }
    void operator()(ExtraSpaces) const { remove_extra_spaces(text); }
    void operator()(Characters step) const { change_characters(step, text); }
    void operator()(UnicodeForm form) const { apply_form(form, text); }
  };
  const std::size_t limit = kMostGrowth * text.text().size() + kLeastLimit;
  for (const Step& step : steps_) { std::visit(Apply{text, limit, source}, step); }
}

}  // namespace kappascope
