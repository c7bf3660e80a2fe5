// Text as HTML: the one place where what comes from files becomes part of a page.
#pragma once

#include <string>
#include <string_view>

namespace kappascope {

// `raw` as text of an HTML element or of an attribute in double quotes: markup characters as
// entities, and, as everywhere in figures, control characters, direction controls and bytes that
// are no UTF-8 as \xNN or \uNNNN, line breaks as ↵, at most 2,000 characters (see plain_text). No
// text can end an element, an attribute, a comment or a script. Of scripts and styles no text of
// ours is ever a part: these are constants.
std::string html_escaped(std::string_view raw);

// `raw` as part of an id: ASCII letters, digits and '_' as they are, everything else as '-'.
std::string id_word(std::string_view raw);

// 'sha256-…' of an inline script, as a Content-Security-Policy names it, quotes included.
std::string script_source(std::string_view script);

}  // namespace kappascope
