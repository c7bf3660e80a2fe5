// `kappascope models`: the models on this machine that can be opened by name.
#include "app/models.h"

#include <algorithm>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

constexpr const char* kModelsExamples = R"(
Examples:
  kappascope models
  kappascope models --json
  HF_HUB_CACHE=/data/hub kappascope models)";

std::string padded(std::string text, std::int64_t width) {
  const std::int64_t missing = width - display_width(text);
  return text + std::string(std::size_t(std::max<std::int64_t>(missing, 0)), ' ');
}

// "name  family  12,345 bytes  supported", in columns.
std::string rows_of(const ModelPlace& place) {
  std::int64_t name_width = 0, family_width = 0, bytes_width = 0;
  for (const ListedModel& model : place.models) {
    if (!model.experts) { continue; }
    name_width = std::max(name_width, display_width(printable(model.name)));
    family_width = std::max(family_width, display_width(printable(model.family)));
    bytes_width =
        std::max(bytes_width, display_width(count_text(std::int64_t(model.bytes)) + " bytes"));
  }
  std::string rows;
  for (const ListedModel& model : place.models) {
    if (!model.experts) { continue; }
    const std::string bytes = count_text(std::int64_t(model.bytes)) + " bytes";
    rows += join_words(
        "  ", padded(printable(model.name), name_width), "  ",
        padded(printable(model.family), family_width), "  ",
        std::string(std::size_t(bytes_width - display_width(bytes)), ' '), bytes, "  ",
        model.refusal.empty() ? "supported" : "not supported: " + printable(model.refusal),
        model.step ? join_words(", step ", *model.step) : "", "\n");
  }
  return rows;
}

std::string listing(const ModelPlace& place) {
  const auto others = std::count_if(place.models.begin(), place.models.end(),
                                    [](const ListedModel& model) { return !model.experts; });
  const std::string rows = rows_of(place);
  std::string text =
      join_words(bold(place.title), ": ", printable(place.folder.string()), "\n", rows);
  if (rows.empty()) { text += "  no mixture of experts here\n"; }
  if (others > 0) {
    text += join_words("  and ", others, others == 1 ? " model that is" : " models that are",
                       " no mixture of experts (--json lists all)\n");
  }
  return text;
}

Json document(const std::vector<ModelPlace>& places) {
  Json list = Json::array();
  for (const ModelPlace& place : places) {
    for (const ListedModel& model : place.models) {
      list.push_back({{"place", place.title},
                      {"name", model.name},
                      {"open_as", model.open_as},
                      {"folder", model.folder.string()},
                      {"family", model.family.empty() ? Json() : Json(model.family)},
                      {"mixture_of_experts", model.experts},
                      {"bytes", model.bytes},
                      {"step", json_of(model.step)},
                      {"supported", model.refusal.empty()},
                      {"reason", model.refusal.empty() ? Json() : Json(model.refusal)}});
    }
  }
  return list;
}

}  // namespace

int models_verb(const Arguments& arguments) {
  CLI::App app(
      "List the models of the Hugging Face hub cache and of nanochat on this machine.\n"
      "Reads configurations and headers; downloads nothing.",
      "kappascope models");
  app.footer(kModelsExamples);
  bool json = false;
  app.add_flag("--json", json, "print JSON");
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }

  Interrupts interrupts;
  Terminal terminal(Talk::normal, interrupts);
  const std::vector<ModelPlace> places = list_models();
  ExitCode code = ExitCode::ok;
  std::string text;
  for (const ModelPlace& place : places) {
    text += listing(place);
    if (place.failure.empty()) { continue; }
    terminal.error(place.failure);
    code = ExitCode::io;
  }
  print(json ? json_text(document(places)) : text);
  return int(code);
}

}  // namespace kappascope
