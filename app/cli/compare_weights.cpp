#include "app/cli/compare_weights.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "app/cli/text_table.h"
#include "app/cli/verbs.h"
#include "app/weights_tables.h"
#include "core/figure/render.h"
#include "core/stats/summary.h"
#include "core/stats/tensor_numbers.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr const char* kWeightsFile = "weights.json";
constexpr const char* kWeightsTable = "weights.csv";
constexpr const char* kWeightsSchema = "kappascope.weights/1";
constexpr std::size_t kMostShown = 20;  // rows of the printed table

Json sides_json(const TensorChange& change) {
  Json json{{"tensor", display_text(change.name)}, {"presence", name(change.status)}};
  const auto side = [&](const char* key, const TensorInfo* tensor) {
    if (tensor == nullptr) { return; }
    json[join_words("shape_", key)] = tensor->shape;
    json[join_words("dtype_", key)] = dtype_name(tensor->dtype);
  };
  side("a", change.a);
  side("b", change.b);
  return json;
}

void put_numbers(Json& json, const TensorChange& change) {
  json["elements"] = change.elements;
  json["cosine"] = number_json(change.cosine);
  json["relative_change"] = number_json(change.relative_change);
  json["sign_flips"] = change.sign_flips;
  json["most_change"] = number_json(change.most_change);
}

Json model_json(const Model& model) {
  return {{"model", display_text(model.name())},
          {"step", json_of(model.files.step)},
          {"tensor_directory_sha256", model.directory_sha256}};
}

Json document(const Model& a, const Model& b, const WeightChange& change) {
  Json json{{"schema", kWeightsSchema},
            {"a", model_json(a)},
            {"b", model_json(b)},
            {"tensors", Json::array()},
            {"written_by", join_words("kappascope ", kToolVersion)}};
  put_numbers(json["whole"], change.whole);
  for (const TensorChange& one : change.tensors) {
    Json row = sides_json(one);
    if (one.status == TensorStatus::both) { put_numbers(row, one); }
    json["tensors"].push_back(std::move(row));
  }
  return json;
}

TextRow row_of(const std::string& name, const TensorChange& change) {
  return {name,
          std::to_string(change.elements),
          cell(change.cosine, 6),
          cell(change.relative_change),
          std::to_string(change.sign_flips),
          cell(change.most_change)};
}

// Those that changed most, and what could not be compared.
std::string change_text(const WeightChange& change) {
  std::vector<const TensorChange*> changed;
  std::map<std::string, std::string> others;  // names by status
  for (const TensorChange& one : change.tensors) {
    if (one.status == TensorStatus::both) {
      changed.push_back(&one);
      continue;
    }
    std::string& names = others[name(one.status)];
    names += (names.empty() ? "" : ", ") + printable(one.name);
  }
  std::stable_sort(changed.begin(), changed.end(), [](const auto* a, const auto* b) {
    return a->relative_change > b->relative_change;
  });
  std::vector<TextRow> rows = {
      {"tensor", "elements", "cosine", "relative change", "sign flips", "largest change"}};
  rows.push_back(row_of("all compared", change.whole));
  for (std::size_t i = 0; i < std::min(changed.size(), kMostShown); ++i) {
    rows.push_back(row_of(printable(changed[i]->name), *changed[i]));
  }
  std::string text = text_table(rows, 1);
  if (changed.size() > kMostShown) {
    text += join_words("the ", kMostShown, " that changed most of ", changed.size(), "; ",
                       kWeightsTable, " has all\n");
  }
  for (const auto& [status, names] : others) { text += join_words(status, ": ", names, "\n"); }
  return text;
}

}  // namespace

int compare_weights(const std::vector<ComparedRun>& runs, const ReadingOptions& reading,
                    WeightsTalk talk, OutputFolder& folder, Terminal& terminal) {
  folder.check_places({}, {kWeightsFile});
  const auto open = [&](const ComparedRun& run) {
    return open_model(run.path,
                      {.step = run.step, .kappa = reading.choices(), .kappa_values = false});
  };
  const Model a = open(runs[0]), b = open(runs[1]);
  const WeightChange change = weight_change(*a.tensors, *b.tensors, terminal);
  const Json json = document(a, b, change);
  const std::string text = json_text(json);
  write_file(folder.staged(kWeightsFile), text);
  write_csv(changes_table(change), folder.staged(kWeightsTable));
  folder.check_places({}, {kWeightsFile, kWeightsTable});
  folder.publish({}, {kWeightsFile, kWeightsTable});
  terminal.erase();
  print(talk.json ? text : talk.quiet ? "" : change_text(change));
  return int(ExitCode::ok);
}

}  // namespace kappascope
