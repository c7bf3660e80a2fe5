// A chat template as pieces: text, {{ expressions }} and {% statements %}, with Jinja's rules on
// blanks as `transformers` sets them (trim_blocks, lstrip_blocks), and the words inside.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace kappascope {

inline constexpr std::size_t kLongestTemplate = std::size_t{1} << 20;  // bytes

// Where in a template something is, for messages.
struct TemplatePlace {
  std::string_view file;
  int line = 1, column = 1;  // from 1; columns are bytes
};

// What a person can do whose template is not one of the plain ones.
inline constexpr std::string_view kTemplateRemedy =
    "; render the chats elsewhere and give them as plain texts";

// Throws unsupported: "FILE: the chat template, line L, column C: …".
template <typename... Words>
[[noreturn]] void refuse_template(const TemplatePlace& place, const Words&... words) {
  fail(ExitCode::unsupported, {.file = place.file}, "the chat template, line ", place.line,
       ", column ", place.column, ": ", words..., kTemplateRemedy);
}

struct TemplateWord {
  enum class Kind : std::uint8_t { name, text, integer, sign, end };
  Kind kind = Kind::end;
  std::string text;  // of a text what it stands for
  TemplatePlace place;

  bool is_sign(std::string_view sign) const { return kind == Kind::sign && text == sign; }
  bool is_name(std::string_view name) const { return kind == Kind::name && text == name; }
};

struct TemplatePiece {
  enum class Kind : std::uint8_t { text, expression, statement };
  Kind kind = Kind::text;
  std::string text;
  std::vector<TemplateWord> words;  // closed by an `end`
  TemplatePlace place;
};

// Comments are left out. Malformed: unsupported. `file` must outlive the result.
std::vector<TemplatePiece> read_template(std::string_view source, std::string_view file);

}  // namespace kappascope
