// What the process gives up before it opens a stranger's file: by Landlock where it may write, by
// seccomp which calls it may make. A reader that is taken over by a file then cannot reach the
// network, start a program, or change what is not the output. Of kernels that lack either (Linux
// 5.19 and 4.14 have them) the rest holds; nothing else changes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kappascope {

struct Sandbox {
  // Where files may be made, changed and removed: these folders and all below, or files. Nothing:
  // everywhere. What does not exist is left out.
  std::optional<std::vector<std::filesystem::path>> writable;
  bool network = false;        // sockets of any kind
  bool local_sockets = false;  // those of AF_UNIX, which drivers of GPUs use
  bool programs = false;       // other programs may be started
};

// For good, and for all threads that are started later: to be called before the first one. Each
// part that the kernel does not have, or does not let be set here, is left out.
void enter_sandbox(const Sandbox& sandbox);

// What of it this kernel has: "writes by Landlock, calls by seccomp".
std::string sandbox_text();

// The sandbox of a verb: it writes to `outputs` (as given on the command line: what is a folder, or
// is to be made in one), to the temporary folder, the caches of fonts and of the GPU's driver, and
// devices. None with KAPPASCOPE_SANDBOX=off, and while the driver of an NVIDIA GPU has yet to make
// its devices.
void confine_verb(const std::vector<std::filesystem::path>& outputs);
// Of the window, which opens and saves files wherever a person says, speaks to the display and
// starts the programs that copy pictures: only what no part of it needs is given up.
void confine_window();

}  // namespace kappascope
