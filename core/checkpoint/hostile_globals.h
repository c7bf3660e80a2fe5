// Names in pickles that are attacks.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace kappascope {

// Functions that a pickle names for one purpose only: to run a program when Python loads it. What
// torch.load itself blocks is among them. They are refused even where nothing is executed: a user
// should hear of such a file.
inline constexpr std::array<std::string_view, 16> kHostileModules = {
    "os",     "posix",           "nt",        "sys",        "subprocess", "pty",    "runpy",
    "shutil", "socket",          "importlib", "webbrowser", "commands",   "ctypes", "code",
    "pdb",    "_posixsubprocess"};
inline constexpr std::array<std::string_view, 9> kHostileBuiltins = {
    "eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint", "file"};

template <std::size_t N>
bool is_among(std::string_view text, const std::array<std::string_view, N>& texts) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

inline bool is_hostile(std::string_view module, std::string_view name) {
  const bool builtin = module == "builtins" || module == "__builtin__";
  return is_among(module.substr(0, module.find('.')), kHostileModules) ||
         (builtin && is_among(name, kHostileBuiltins));
}

}  // namespace kappascope
