// kappascope: the table of verbs and the one place where errors end.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/device.h"
#include "app/shell_words.h"
#include "core/error.h"
#include "core/sandbox.h"
#include "core/threads.h"
#ifdef KAPPASCOPE_WINDOW
#include "app/gui/open_window.h"
#endif

#ifndef KAPPASCOPE_TORCH_VERSION
#define KAPPASCOPE_TORCH_VERSION "not built in"
#endif

namespace kappascope {
namespace {

#ifdef KAPPASCOPE_WINDOW
constexpr bool kWindow = true;
#else
constexpr bool kWindow = false;

int open_window(const Arguments&) {
  fail(ExitCode::gpu, {},
       "this kappascope is built without its window; run `kappascope run MODEL -p TEXT -o DIR`");
}
#endif

struct Verb {
  const char* name;
  const char* words;
  const char* summary;
  int (*run)(const Arguments& arguments);
};

constexpr Verb kVerbs[] = {
    {"run", "MODEL -p TEXT -o DIR", "run texts through a model; write traces and tables", run_verb},
    {"generate", "MODEL -p TEXT", "let a model go on with a text; the same trace of what it does",
     generate_verb},
    {"info", "MODEL", "what a checkpoint is: layers, κ, parameters", info_verb},
    {"tokens", "MODEL -p TEXT", "the token ids that run would feed", tokens_verb},
    {"ablate", "MODEL -f FILE -o DIR", "what a text loses without each expert", ablate_verb},
    {"patch", "MODEL -p TEXT --from TRACE -o DIR",
     "what a prediction gains from another text's outputs, place by place", patch_verb},
    {"plot", "TRACE… -o DIR", "figures of traces as SVG, PDF, PNG and CSV", plot_verb},
    {"compare", "A B… -p TEXT -o DIR", "the same texts on several models, or traces, side by side",
     compare_verb},
    {"report", "PATH… -o FILE.html", "one HTML page of a trace, a comparison or a sweep",
     report_verb},
    {"score", "MODEL --tasks FILE…", "answer tasks of the CORE kind: accuracy above chance",
     score_verb},
    {"stats", "MODEL --corpus FILE… -o DIR", "statistics over a corpus, on one machine or many",
     stats_verb},
    {"merge", "RESULT… -o DIR", "join results of stats that are of parts of a corpus", merge_verb},
    {"scan", "MODEL", "look at weights: every tensor, κ, routers and experts", scan_verb},
    {"train", "--text FILE… --tokenizer DIR -o DIR", "train a small model, or a pair to compare",
     train_verb},
    {"models", "", "models on this machine that can be opened by name", models_verb},
    {"metrics", "[ID]", "what a number means", metrics_verb},
    {"selftest", "", "run the shipped checkpoint against shipped numbers", selftest_verb},
};

std::string version_text() {
  return join_words("kappascope ", kToolVersion, "\nTorch ", KAPPASCOPE_TORCH_VERSION,
                    "\nCUDA: ", cuda_text().empty() ? "not built in" : cuda_text(),
                    "\ndevice: ", automatic_device_text(),
                    "\nwindow: ", kWindow ? "built in" : "not built in",
                    "\nsandbox: ", sandbox_text(), "\n");
}

std::string help_text() {
  std::string text =
      "kappascope: look into a mixture-of-experts model with κ-SwiGLU gates\n\n"
      "Usage: kappascope [PATH…]   the window, on models, traces or nothing\n"
      "       kappascope VERB …\n\n";
  for (const Verb& verb : kVerbs) {
    const std::string call = join_words("  ", verb.name, " ", verb.words);
    const std::size_t width = std::size_t(display_width(call));
    text += join_words(call, std::string(width < 32 ? 34 - width : 2, ' '), verb.summary, "\n");
  }
  return text +
         "\n  kappascope VERB --help            options and examples of a verb\n"
         "  kappascope --version              version, and what was built in\n\n"
         "Example:\n  kappascope run assets/d8-kappa -p \"Once upon a time\" -o out\n\n"
         "Exit codes: 0 ok, 1 internal error or failed check, 2 usage, 3 damaged file,\n"
         "4 unsupported model, 5 input or output, 6 out of memory, 7 GPU or window unusable,\n"
         "8 some inputs of several failed, 9 output folder locked, 130 interrupted\n";
}

// No verb: paths are for the window. A word that names no file was meant as a verb.
void check_first_word(const std::string& word) {
  std::error_code unreadable;
  const bool path = word.empty() || word.starts_with('-') || word.find('/') != std::string::npos ||
                    std::filesystem::exists(word, unreadable);
  require(path, ExitCode::usage, {}, "'", word,
          "' is neither a verb nor a file here; see `kappascope --help`");
}

int dispatch(int count, char** words) {
  const std::string first = count > 1 ? words[1] : "";
  if (first == "--version") { return print(version_text()), int(ExitCode::ok); }
  if (first == "--help" || first == "-h") { return print(help_text()), int(ExitCode::ok); }
  for (const Verb& verb : kVerbs) {
    if (first == verb.name) {
      return verb.run({{words + 2, words + count}, quote_command(count, words)});
    }
  }
  check_first_word(first);
  return open_window({{words + std::min(count, 1), words + count}, quote_command(count, words)});
}

// A standard descriptor that is closed would be given to the next file that is opened, and be
// written or read in its place. Opened the wrong way round, each use of it is an error as before.
void occupy_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) { continue; }
    (void)!open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// Each thread's arena reserves 64 MB of addresses: where these are limited (ulimit -v) all threads
// share one, so that the limit is for what is computed.
void share_arena_where_addresses_are_limited() {
  rlimit addresses{};
  if (getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY) {
    mallopt(M_ARENA_MAX, 1);
  }
}

void say(const Failure& failure) {
  std::fprintf(stderr, "kappascope: %s\n", failure.line().c_str());
}

// For the sentence that says that memory has run out.
std::unique_ptr<char[]> spare_memory;
std::terminate_handler end_otherwise = nullptr;

// Destructors may want memory, too (those of the JSON library do), and may not throw when there is
// none. It is said as elsewhere; what is unfinished is taken over by the next run.
[[noreturn]] void end_where_nothing_may_be_thrown() {
  spare_memory.reset();
  if (std::current_exception()) {
    const Failure failure = failure_in_flight();
    if (failure.code == ExitCode::memory) {
      say(failure);
      std::_Exit(int(failure.code));
    }
  }
  end_otherwise();
  std::abort();
}

}  // namespace

std::filesystem::path assets_folder() {
  if (const char* given = std::getenv("KAPPASCOPE_ASSETS")) { return given; }
  const std::filesystem::path folder =
      std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::error_code unreadable;
  const std::filesystem::path beside = folder / "assets";  // where it is installed
  return std::filesystem::exists(beside, unreadable)
             ? beside
             : folder.parent_path().parent_path() / "assets";
}

}  // namespace kappascope

int main(int count, char** words) {
  using namespace kappascope;
  occupy_standard_descriptors();
  let_waiting_threads_sleep();
  signal(SIGPIPE, SIG_IGN);  // a reader that goes away ends nothing half-way; print() sees it
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write
  share_arena_where_addresses_are_limited();
  int code = 0;
  try {
    spare_memory = std::make_unique<char[]>(1 << 16);
    end_otherwise = std::set_terminate(&end_where_nothing_may_be_thrown);
    code = dispatch(count, words);
  } catch (...) {
    const Failure failure = failure_in_flight();
    say(failure);
    code = int(failure.code);
  }
  // Torch would take its tables of operators apart one by one; the system does it at once.
  std::fflush(nullptr);
  std::_Exit(code);
}
