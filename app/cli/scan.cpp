// `kappascope scan`: what the weights of a checkpoint are, without a text.
#include <algorithm>
#include <optional>

#include "app/cli/command_line.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/scan_report.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/figure/figures.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr const char* kScanExamples = R"(
Examples:
  kappascope scan assets/d8-kappa
  kappascope scan MODEL --fail-if 'nonfinite>0' --fail-if 'z_max>50'
  kappascope scan MODEL --json
  kappascope scan MODEL -o scan --layer 3,5 --figure-format pdf)";

constexpr const char* kScanFile = "scan.json";
constexpr const char* kScanTable = "scan.csv";

class Scan {
 public:
  int run(const Arguments& arguments) {
    if (!parse(arguments)) { return int(ExitCode::ok); }
    Interrupts interrupts;
    Terminal terminal(talk_.talk(), interrupts);
    model_.emplace(open_model(path_, {.step = step_, .kappa = reading_.choices()}));
    say_unknown(*model_, terminal);
    const std::vector<std::int64_t> layers = similarity_layers();
    std::optional<OutputFolder> folder;
    if (!output_.empty()) { folder.emplace(output_, force_, interrupts); }
    if (folder) { folder->check_places({}, {kScanFile}); }
    ScanResult scan{*model_, limits_};
    scan.numbers = tensor_numbers(*model_->tensors, limits_, terminal);
    scan.kappa = learned_kappa(*model_);
    align(scan, terminal);
    for (const std::int64_t layer : layers) {
      scan.similarities.push_back(expert_similarity(*model_, layer, terminal));
    }
    if (folder) { write(scan, *folder, terminal); }
    terminal.erase();
    print(json_ ? json_text(scan_json(scan)) : talk_.quiet ? "" : scan_text(scan));
    check_thresholds(scan, thresholds_);
    const std::string failures = thresholds_.failures();
    if (failures.empty()) { return int(ExitCode::ok); }
    terminal.error(describe({.file = model_->files.weights.native()}, failures));
    return int(ExitCode::internal);
  }

 private:
  bool parse(const Arguments& arguments) {
    CLI::App app("Look at the weights of a checkpoint: every tensor, κ, router and experts",
                 "kappascope scan");
    app.footer(kScanExamples);
    app.add_option("MODEL", path_, "model folder or model_NNNNNN.pt")->required();
    app.add_option("--step", step_, "training step; the newest unless given")
        ->check(at_least_zero());
    app.add_option("--outlier-z", limits_.z, "values further from the mean, in standard deviations")
        ->check(over_zero())
        ->capture_default_str();
    app.add_option("--outlier-abs", limits_.abs, "values larger than this, whatever their sign")
        ->check(over_zero());
    thresholds_.add_to(app, "z_max>50, nonfinite>0, alignment_mean<0.1");
    reading_.add_to(app);
    app.add_flag("--json", json_, "print JSON");
    app.add_option("-o,--output", output_,
                   "folder for scan.json, scan.csv and the similarity of experts");
    app.add_option("--layer", layers_,
                   "layers whose experts are compared with each other: 3 or 2,4-6; the middle MoE "
                   "one");
    app.add_option("--figure-format", figures_.formats, "any of svg, pdf, eps, png, csv")
        ->capture_default_str();
    app.add_flag("--force", force_, "replace files that kappascope has not written");
    talk_.add_to(app);
    if (!parse_words(app, arguments.words)) { return false; }
    thresholds_.parse(scan_names(limits_));
    require(layers_.empty() || !output_.empty(), ExitCode::usage, {},
            "--layer is for the similarity of experts: give a folder for it with -o DIR");
    require(!output_.empty() || (figures_.formats == FigureOptions().formats && !force_),
            ExitCode::usage, {},
            "--figure-format and --force are for files: give a folder with -o DIR");
    if (!output_.empty()) { figures_.check(); }
    return true;
  }

  std::vector<std::int64_t> moe_layers() const {
    std::vector<std::int64_t> layers;
    for (std::int64_t l = 0; l < model_->architecture.depth(); ++l) {
      if (model_->architecture.layers[l].moe() != nullptr) { layers.push_back(l); }
    }
    return layers;
  }

  std::vector<std::int64_t> similarity_layers() const {
    const std::vector<std::int64_t> moe = moe_layers();
    if (output_.empty() || moe.empty()) { return {}; }
    if (layers_.empty()) { return {moe[moe.size() / 2]}; }
    const std::vector<std::int64_t> layers =
        parse_layers(layers_, model_->architecture.depth(), "--layer");
    for (const std::int64_t layer : layers) {
      require(std::binary_search(moe.begin(), moe.end(), layer), ExitCode::usage, {}, "--layer ",
              layer, ": it has no experts");
    }
    return layers;
  }

  void align(ScanResult& scan, Progress& progress) {
    const std::vector<std::int64_t> layers = moe_layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      go_on(progress, Stage::read, i, layers.size());
      scan.alignments.push_back({layers[i], unit_alignment(*model_, layers[i])});
    }
  }

  void write(const ScanResult& scan, OutputFolder& folder, Progress& progress) {
    std::vector<std::string> files = {kScanFile, kScanTable};
    write_file(folder.staged(kScanFile), json_text(scan_json(scan)));
    write_csv(tensors_table(*model_->tensors, scan.numbers, scan.limits),
              folder.staged(kScanTable));
    const std::string model =
        display_text(model_->name()) +
        (model_->files.step ? join_words(", step ", *model_->files.step) : "");
    for (const ExpertSimilarity& similarity : scan.similarities) {
      go_on(progress, Stage::figures, 0, scan.similarities.size());
      for (const std::string& name : write_figure_files(
               figures_, figures::similarity(similarity, model), folder.staged(""))) {
        files.push_back(name);
      }
    }
    folder.check_places({}, files);
    folder.publish({}, files);
  }

  std::string path_, output_, layers_;
  std::optional<std::int64_t> step_;
  OutlierLimits limits_;
  Thresholds thresholds_;
  ReadingOptions reading_;
  FigureOptions figures_;
  TalkOptions talk_;
  bool json_ = false, force_ = false;
  std::optional<Model> model_;
};

}  // namespace

int scan_verb(const Arguments& arguments) {
  return Scan().run(arguments);
}

}  // namespace kappascope
