#include "app/cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <regex>

#include "app/cli/terminal.h"
#include "app/device.h"
#include "core/memory.h"
#include "core/sandbox.h"
#include "core/threads.h"

namespace kappascope {
namespace {

// A whole number that no option holds: CLI11 would take the largest that it can.
bool is_too_long(const std::string& word) {
  std::int64_t number = 0;
  return std::from_chars(word.data(), word.data() + word.size(), number).ec ==
             std::errc::result_out_of_range &&
         word.find_first_not_of("-0123456789") == word.npos;
}

CLI::Validator number_check(const std::string& name, const std::string& expected,
                            bool (*holds)(double number)) {
  return CLI::Validator(
      [=](std::string& word) {
        if (is_too_long(word)) { return "expected a number below 2^63, found " + word; }
        double number = 0;
        const bool known = CLI::detail::lexical_cast(word, number) && holds(number);
        return known ? std::string() : join_words("expected ", expected, ", found ", word);
      },
      name);
}

constexpr int kMostThreads = 1024;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) { return parts; }
    text.remove_prefix(end + 1);
  }
}

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '-') {
    return {};
  }
  return value;
}

}  // namespace

namespace {

// No file of a stranger is open yet, and no thread has been started. What a verb writes is named by
// one of these options.
void confine(const CLI::App& app) {
  std::vector<std::filesystem::path> outputs;
  for (const char* name : {"--output", "--resume"}) {
    const CLI::Option* option = app.get_option_no_throw(name);
    const bool path = option != nullptr && option->get_type_size_max() > 0;  // else a flag
    if (path && !option->empty()) { outputs.emplace_back(option->as<std::string>()); }
  }
  confine_verb(outputs);
}

}  // namespace

bool parse_words(CLI::App& app, const std::vector<std::string>& words, WordsOf whose) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // CLI11 pops from the back
  try {
    app.parse(reversed);
    // An empty name is a variable of the shell that is not set: not a wish for no folder.
    const CLI::Option* const output = app.get_option_no_throw("--output");
    require(output == nullptr || output->count() == 0 || !output->as<std::string>().empty(),
            ExitCode::usage, {}, app.get_name(), ": -o: expected a name, found ''");
    whose == WordsOf::window ? confine_window() : confine(app);
    return true;
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, {}, app.get_name(), ": ", error.what(), "; see `", app.get_name(),
         " --help`");
  }
}

std::vector<std::int64_t> parse_layers(std::string_view text, std::int64_t n_layer,
                                       std::string_view option) {
  std::vector<std::int64_t> layers;
  for (const std::string_view part : split(text, ',')) {
    const std::vector<std::string_view> ends = split(part, '-');
    const auto first = parse_number(ends.front());
    const auto last = parse_number(ends.back());
    require(first && last && ends.size() <= 2 && *first <= *last, ExitCode::usage, {}, option,
            ": expected a list like 0-3,7, found '", text, "'");
    require(*last < n_layer, ExitCode::usage, {}, option, ": expected layers below ", n_layer,
            ", found ", *last);
    for (std::int64_t layer = *first; layer <= *last; ++layer) { layers.push_back(layer); }
  }
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

std::vector<std::string> parse_list(std::string_view option, std::string_view text,
                                    const std::vector<std::string>& known) {
  std::vector<std::string> words;
  for (const std::string_view part : split(text, ',')) {
    require(std::find(known.begin(), known.end(), part) != known.end(), ExitCode::usage, {}, option,
            ": expected words of ", CLI::detail::join(known, ","), ", found '", part, "'");
    if (std::find(words.begin(), words.end(), part) == words.end()) { words.emplace_back(part); }
  }
  return words;
}

CLI::Validator at_least_zero() {
  return number_check("NONNEGATIVE", "at least 0", [](double number) { return number >= 0; });
}

CLI::Validator over_zero() {
  return number_check("POSITIVE", "a number over 0", [](double number) { return number > 0; });
}

std::string_view trimmed(std::string_view text, std::string_view blanks) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == text.npos) { return {}; }
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

namespace {

// Bytes of a size; 0: none was given.
std::uint64_t size_of(const char* option, const std::string& words) {
  if (words.empty()) { return 0; }
  const std::optional<std::uint64_t> bytes = parse_bytes(words);
  require(bytes.has_value(), ExitCode::usage, {}, option,
          ": expected a size as 8GB, 512MB or 6GiB, found '", words, "'");
  return *bytes;
}

}  // namespace

void add_threads(CLI::App& app, int& threads) {
  const auto take = [&threads](const int& given) {
    threads = given;
    limit_threads(given);  // of what is done beside the model, too
  };
  app.add_option_function<int>("--threads", take,
                               "threads on the CPU; by default as many as this process may use")
      ->check(CLI::Range(1, kMostThreads));
}

void ComputeOptions::add_to(CLI::App& app) {
  app.add_option("--device", device,
                 "where to run: cpu, cuda, cuda:N, or auto: a GPU if it can be used")
      ->capture_default_str();
  app.add_option("--dtype", dtype, "of the matrix products; all else is float32")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  add_threads(app, threads);
  app.add_option("--memory", memory,
                 "bytes this process may take, as 8GB; a model that needs more is read from its "
                 "file a layer at a time. By default what the machine has available")
      ->option_text("SIZE");
  app.add_option("--gpu-memory", gpu_memory,
                 "bytes of the GPU's memory that the model may take, as 16GB; one that needs more "
                 "goes through it a layer at a time. By default all of its weights are there")
      ->option_text("SIZE");
  app.add_flag("--strict", strict, "refuse NaN and infinite weights");
}

void ReadingOptions::add_to(CLI::App& app) {
  app.add_option("--kappa-slot", slot,
                 "base or sft: which κ of a checkpoint that has both; by default by its folder")
      ->check(CLI::IsMember({"base", "sft"}));
  app.add_option("--sft-kappa", sft,
                 "residual or independent: what the SFT slot of κ holds; residual by default")
      ->check(CLI::IsMember({"residual", "independent"}));
  app.add_option("--kappa-formula", formula,
                 "auto, 2026-06, 2026-05-31, 2026-05 or 2026-05-20: formula of κ by its date")
      ->check(CLI::IsMember({"auto", "2026-06", "2026-05-31", "2026-05", "2026-05-20"}))
      ->capture_default_str();
}

KappaChoices ReadingOptions::choices() const {
  const auto chosen = [](const std::string& word, auto... values) {
    std::optional<std::common_type_t<decltype(values)...>> found;
    ((word == name(values) ? void(found = values) : void()), ...);
    return found;
  };
  return {chosen(slot, KappaSide::base, KappaSide::sft),
          chosen(sft, SftKappa::residual, SftKappa::independent),
          chosen(formula, KappaFormula::v2026_06, KappaFormula::v2026_05_31, KappaFormula::v2026_05,
                 KappaFormula::v2026_05_20)};
}

void ComputeOptions::check_device() const {
  require(gpu_memory.empty() || device != "cpu", ExitCode::usage, {},
          "--gpu-memory: expected a GPU (--device cuda), found --device cpu");
  require(std::regex_match(device, std::regex("auto|cpu|cuda(:[0-9]{1,3})?")), ExitCode::usage, {},
          "--device: expected auto, cpu, cuda or cuda:N, found '", device, "'");
  require(automatic() || device == "cpu" || !cuda_text().empty(), ExitCode::gpu, {}, "--device ",
          device, ": this kappascope is built without CUDA; run it with --device cpu");
}

std::string ComputeOptions::name_of(const LoadOptions& loaded) const {
  if (!automatic()) { return device; }
  return loaded.device == ComputeDevice::cuda ? "cuda" : "cpu";
}

LoadOptions ComputeOptions::load_options() const {
  LoadOptions options;
  options.dtype = dtype == "bfloat16" ? ComputeType::bfloat16 : ComputeType::float32;
  if (automatic()) {
    options.device = automatic_device();
  } else if (device != "cpu") {
    options.device = ComputeDevice::cuda;
    const std::size_t colon = device.find(':');
    if (colon != std::string::npos) { options.device_index = std::stoi(device.substr(colon + 1)); }
  }
  options.threads = threads > 0 ? threads : usable_threads();
  options.memory = size_of("--memory", memory);
  options.gpu_memory = size_of("--gpu-memory", gpu_memory);
  return options;
}

}  // namespace kappascope
