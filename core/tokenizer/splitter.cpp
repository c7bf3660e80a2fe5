#include "core/tokenizer/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

namespace kappascope {
namespace {

// A match is first tried on a short window of the text and with few steps. When it wants to look
// past the window, or takes more steps, it is tried again with more of both. An honest pattern
// consumes what it looked at, so what is spent in such trials stays below a few times the text's
// length; one that looks far and takes little, again and again, runs out of budget.
constexpr std::uint64_t kFirstWindow = 64;  // bytes
constexpr std::uint64_t kWindowGrowth = 8;
constexpr std::uint64_t kStepsPerByte = 8;  // backtracking steps allowed per byte of window
constexpr std::uint64_t kBudgetPerByte = 4;
constexpr std::uint64_t kLeastBudget = std::uint64_t{1} << 16;

constexpr std::uint32_t kNestingLimit = 100;         // groups inside groups
constexpr std::uint32_t kHeapLimitKib = 64 * 1024;   // without JIT
constexpr std::size_t kFirstJitStack = 32 * 1024;    // bytes
constexpr std::size_t kJitStackLimit = 1024 * 1024;  // bytes

template <typename T, void (*release)(T*)>
struct Releaser {
  void operator()(T* owned) const { release(owned); }
};
template <typename T, void (*release)(T*)>
using Owned = std::unique_ptr<T, Releaser<T, release>>;

using CompiledPattern = Owned<pcre2_code, pcre2_code_free>;
using CompileContext = Owned<pcre2_compile_context, pcre2_compile_context_free>;
using MatchContext = Owned<pcre2_match_context, pcre2_match_context_free>;
using MatchData = Owned<pcre2_match_data, pcre2_match_data_free>;
using JitStack = Owned<pcre2_jit_stack, pcre2_jit_stack_free>;

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> words{};
  pcre2_get_error_message(code, words.data(), words.size());
  return reinterpret_cast<const char*>(words.data());
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// The first code-point boundary after `at`, or the end.
std::size_t next_boundary(std::string_view text, std::size_t at) {
  do { ++at; } while (at < text.size() && is_continuation(text[at]));
  return at;
}

}  // namespace

struct Splitter::State {
  std::string file;
  CompiledPattern code;
};

Splitter::Splitter(std::string_view pattern, PatternLanguage language, std::string_view file)
    : state_(std::make_unique<State>()) {
  state_->file = file;
  const std::string translated = pcre2_pattern(pattern, language, file);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (context == nullptr) { throw std::bad_alloc(); }
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kNestingLimit);
  // Anchored: positions are tried one by one (Scan::next), each within its own limits.
  constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY |
                                     PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE at = 0;
  state_->code.reset(
      pcre2_compile(units(translated), translated.size(), kOptions, &error, &at, context.get()));
  require(state_->code != nullptr, ExitCode::unsupported, {file},
          "the pattern does not compile: ", error_text(error), " at byte ", at, " of ", translated);
  // Without just-in-time compilation matching is slower and otherwise the same.
  pcre2_jit_compile(state_->code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
}

Splitter::~Splitter() = default;
Splitter::Splitter(Splitter&&) noexcept = default;
Splitter& Splitter::operator=(Splitter&&) noexcept = default;

struct Splitter::Scan::State {
  const Splitter::State* splitter;
  std::string_view text;
  std::string source;
  std::size_t position = 0;
  std::size_t last_end = std::string_view::npos;  // of the match before
  std::uint64_t budget = kLeastBudget;            // bytes of window that may still be spent in vain
  MatchContext context{pcre2_match_context_create(nullptr)};
  MatchData data{pcre2_match_data_create(1, nullptr)};
  JitStack stack{pcre2_jit_stack_create(kFirstJitStack, kJitStackLimit, nullptr)};
};

Splitter::Scan::Scan(const Splitter& splitter, std::string_view source)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  if (state.context == nullptr || state.data == nullptr) { throw std::bad_alloc(); }
  state.splitter = splitter.state_.get();
  state.source = source;
  pcre2_set_heap_limit(state.context.get(), kHeapLimitKib);
  if (state.stack != nullptr) {
    pcre2_jit_stack_assign(state.context.get(), nullptr, state.stack.get());
  }
}

Splitter::Scan::Scan(Scan&&) noexcept = default;
Splitter::Scan::~Scan() = default;

void Splitter::Scan::start(std::string_view text) {
  state_->text = text;
  state_->position = 0;
  state_->last_end = text.npos;
  state_->budget += kBudgetPerByte * text.size();
}

bool Splitter::Scan::find(std::string_view& match) {
  State& state = *state_;
  while (state.position < state.text.size()) {
    const std::size_t begin = state.position;
    const std::size_t end = match_end(begin);
    const bool found = end != state.text.npos && (end > begin || begin != state.last_end);
    state.position = found && end > begin ? end : next_boundary(state.text, begin);
    if (!found) { continue; }
    state.last_end = end;
    match = state.text.substr(begin, end - begin);
    return true;
  }
  return false;
}

bool Splitter::Scan::next(std::string_view& piece) {
  while (find(piece)) {
    if (!piece.empty()) { return true; }
  }
  return false;
}

std::size_t Splitter::Scan::match_end(std::size_t begin) {
  State& state = *state_;
  for (std::uint64_t window = kFirstWindow;; window *= kWindowGrowth) {
    const std::size_t left = state.text.size() - begin;
    std::size_t end = state.text.size();
    if (window < left) { end = next_boundary(state.text, begin + window - 1); }
    const std::uint64_t steps = std::min<std::uint64_t>(window * kStepsPerByte, UINT32_MAX);
    pcre2_set_match_limit(state.context.get(), static_cast<std::uint32_t>(steps));
    // Hard partial matching says so as soon as the outcome could depend on what lies past the
    // window; any other outcome is that of the whole text.
    const std::uint32_t partial = end < state.text.size() ? PCRE2_PARTIAL_HARD : 0U;
    const int code =
        pcre2_match(state.splitter->code.get(), units(state.text), end, begin,
                    PCRE2_NO_UTF_CHECK | partial, state.data.get(), state.context.get());
    if (code >= 0) { return pcre2_get_ovector_pointer(state.data.get())[1]; }
    if (code == PCRE2_ERROR_NOMATCH) { return state.text.npos; }
    const bool again = code == PCRE2_ERROR_PARTIAL || code == PCRE2_ERROR_MATCHLIMIT;
    require(again && state.budget >= window, ExitCode::damaged, {state.splitter->file},
            "the pattern costs too much at byte ", begin, " of ", state.source,
            again ? "; expected work linear in the text's length, stopped after "
                  : ": " + error_text(code) + " after at most ",
            steps, " steps");
    state.budget -= window;
  }
}

}  // namespace kappascope
