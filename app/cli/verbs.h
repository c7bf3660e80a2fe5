// The verbs of the command line: one file each, one row each in the table of main.cpp.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kappascope {

// What a verb is called with.
struct Arguments {
  std::vector<std::string> words;  // after the verb
  std::string command;             // the whole command line, quoted for a shell
};

// Each returns the exit code, or throws Error.
int run_verb(const Arguments& arguments);
int generate_verb(const Arguments& arguments);
int info_verb(const Arguments& arguments);
int tokens_verb(const Arguments& arguments);
int plot_verb(const Arguments& arguments);
int ablate_verb(const Arguments& arguments);
int patch_verb(const Arguments& arguments);
int report_verb(const Arguments& arguments);
int compare_verb(const Arguments& arguments);
int score_verb(const Arguments& arguments);
int stats_verb(const Arguments& arguments);
int merge_verb(const Arguments& arguments);
int scan_verb(const Arguments& arguments);
int models_verb(const Arguments& arguments);
int metrics_verb(const Arguments& arguments);
int train_verb(const Arguments& arguments);
int selftest_verb(const Arguments& arguments);

// Version as `--version` and the traces tell it.
inline constexpr const char* kToolVersion = KAPPASCOPE_VERSION;

// The shipped checkpoints, tokenizer and golden numbers: $KAPPASCOPE_ASSETS, else two folders above
// the program's own (the source tree).
std::filesystem::path assets_folder();

}  // namespace kappascope
