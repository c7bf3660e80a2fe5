// Words of a command line as text that a shell reads back.
#pragma once

#include <string>
#include <string_view>

namespace kappascope {

std::string quote_word(std::string_view word);
std::string quote_command(int count, const char* const* words);

}  // namespace kappascope
