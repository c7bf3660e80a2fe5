// Works on a whole model and on what stands around it: prefill with and without a record, loading,
// tokenizing, drawing.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/figure/render.h"
#include "core/stats/corpus_pass.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/output_file.h"
#include "core/trace/recorder.h"
#include "tests/bench/works.h"

namespace kappascope::bench {
namespace {

namespace fs = std::filesystem;

// Wants what it is told and keeps the last logits' sum, so that runs can be compared.
class Watcher final : public Probe {
 public:
  explicit Watcher(ProbeWants wanted) : wanted_(wanted) {}
  ProbeWants wants() const noexcept override { return wanted_; }
  bool next_token(const NextTokenTap& tap) noexcept override {
    for (std::int64_t r = 0; r < tap.tokens; ++r) {
      if (!std::isnan(tap.nll[r])) { nll += tap.nll[r]; }
    }
    return true;
  }
  double nll = 0;

 private:
  ProbeWants wanted_;
};

// "prefill": `tokens` made-up ids to logits. "mode": none, routing, standard or gates; the last two
// write a whole trace to "trace". Mode write only writes "bytes" there. "memory": the bound of its
// bytes, for layers that come from the file.
class PrefillWork final : public Work {
 public:
  explicit PrefillWork(const Json& arguments)
      : model_(open_model(arguments.at("model").get<std::string>())),
        plan_(resolve(model_, {})),
        loaded_(loaded_model(model_, arguments)) {}

  Json run(const Json& arguments) override {
    const std::int64_t tokens = arguments.at("tokens");
    const std::string mode = arguments.value("mode", "none");
    std::vector<std::int32_t> ids;
    for (std::int64_t t = 0; t < tokens; ++t) {
      ids.push_back(std::int32_t((t * 7919 + t / 3) % model_.architecture.vocab));
    }
    // The file of the round before: none of its removal is counted.
    if (arguments.contains("trace")) { fs::remove(arguments.at("trace").get<std::string>()); }
    const double begin = seconds_now();
    double nll = 0;
    if (mode == "write") {
      write_plainly(arguments.at("trace"), arguments.at("bytes"));
    } else if (mode == "standard" || mode == "gates") {
      record(ids, mode == "gates", arguments.at("trace"));
    } else {
      nll = watch(ids, mode == "routing");
    }
    return {{"seconds", seconds_now() - begin}, {"nll", nll}};
  }

 private:
  static void write_plainly(const fs::path& path, std::uint64_t size) {
    OutputFile file(path);
    file.reserve(size);
    const std::vector<std::byte> block(std::size_t(16) << 20);
    for (std::uint64_t at = 0; at < size; at += block.size()) {
      file.write_at(at, std::span(block).first(std::min<std::size_t>(block.size(), size - at)));
    }
    file.finish();
  }

  void forward(const std::vector<std::int32_t>& ids, Probe& probe) {
    const Failure failure = loaded_->forward({.ids = ids}, plan_, probe, progress_);
    if (failure) { throw Error(failure); }
  }

  double watch(const std::vector<std::int32_t>& ids, bool routing) {
    Watcher watcher({.routing = routing, .next_token = true});
    forward(ids, watcher);
    return watcher.nll;
  }

  void record(const std::vector<std::int32_t>& ids, bool gates, const fs::path& path) {
    TokenizedText text;
    for (const std::int32_t id : ids) { text.tokens.push_back({id, -1, -1}); }
    text.bytes.resize(ids.size());
    text.chunks = {{0, 0, std::int64_t(ids.size())}};
    TraceSettings settings;
    settings.record_gates = gates;
    TraceRecorder recorder(path, model_, plan_, text, settings);
    forward(ids, recorder);
    recorder.finish();
  }

  Model model_;
  RunPlan plan_;
  NoProgress progress_;
  std::unique_ptr<EngineModel> loaded_;
};

// "corpus": calls of `tokens` made-up ids, of documents of 128 each. "mode": none runs them, stats
// adds them up as `kappascope stats` does. "calls": how many; "tenths" are the seconds of the first
// and of the last tenth of them.
class CorpusWork final : public Work {
 public:
  explicit CorpusWork(const Json& arguments)
      : model_(open_model(arguments.at("model").get<std::string>())),
        plan_(resolve(model_, {})),
        pass_(model_, plan_, 0),
        loaded_(loaded_model(model_, arguments)) {}

  Json run(const Json& arguments) override {
    const std::int64_t calls = arguments.value("calls", 1),
                       tenth = std::max<std::int64_t>(1, calls / 10);
    const bool adds_up = arguments.at("mode") == "stats";
    double nll = 0;
    std::vector<double> begins;
    for (std::int64_t n = 0; n < calls; ++n) {
      const CorpusCall call = next_call(arguments.at("tokens"));
      begins.push_back(seconds_now());
      nll += adds_up ? add_up(call) : watch(call);
    }
    begins.push_back(seconds_now());
    return {{"seconds", begins[std::size_t(calls)] - begins[0]},
            {"tenths",
             {begins[std::size_t(tenth)] - begins[0],
              begins[std::size_t(calls)] - begins[std::size_t(calls - tenth)]}},
            {"nll", nll}};
  }

 private:
  static constexpr std::int64_t kDocument = 128;  // tokens

  CorpusCall next_call(std::int64_t tokens) {
    CorpusCall call;
    for (std::int64_t t = 0; t < tokens; ++t, ++made_) {
      call.ids.push_back(std::int32_t((made_ * 7919 + made_ / 3) % model_.architecture.vocab));
    }
    call.bytes.assign(std::size_t(tokens), 4);
    for (std::int64_t begin = 0; begin < tokens; begin += kDocument) {
      call.texts.push_back(
          {begin, std::min(begin + kDocument, tokens), std::uint64_t(++documents_), "", true});
    }
    return call;
  }

  void forward(const CorpusCall& call, Probe& probe) {
    std::vector<std::int64_t> sequences;
    for (const CallText& text : call.texts) { sequences.push_back(text.begin); }
    ForwardCall forward{.ids = call.ids};
    forward.text_tokens = std::ssize(call.ids);
    forward.sequences = sequences;
    const Failure failure = loaded_->forward(forward, plan_, probe, progress_);
    if (failure) { throw Error(failure); }
  }

  double watch(const CorpusCall& call) {
    Watcher watcher({.next_token = true});
    forward(call, watcher);
    return watcher.nll;
  }

  double add_up(const CorpusCall& call) {
    const double before = pass_.totals().nll.value();
    pass_.begin(call);
    forward(call, pass_);
    pass_.end();
    return pass_.totals().nll.value() - before;
  }

  Model model_;
  RunPlan plan_;
  CorpusPass pass_;
  NoProgress progress_;
  std::unique_ptr<EngineModel> loaded_;
  std::int64_t made_ = 0, documents_ = 0;
};

// "load": opens a model and makes its weights ready; every byte is looked at.
class LoadWork final : public Work {
 public:
  explicit LoadWork(const Json& arguments)
      : path_(arguments.at("model").get<std::string>()), arguments_(arguments) {
    engine();
  }

  Json run(const Json&) override {
    const double begin = seconds_now();
    const Model model = open_model(path_);
    const std::unique_ptr<EngineModel> loaded = loaded_model(model, arguments_);
    return {{"seconds", seconds_now() - begin}};
  }

 private:
  fs::path path_;
  Json arguments_;
};

// "encode": ids of a text; their number and a checksum are told.
class EncodeWork final : public Work {
 public:
  explicit EncodeWork(const Json& arguments)
      : tokenizer_(Tokenizer::load_tiktoken_pickle(arguments.at("tokenizer").get<std::string>())) {
    std::ifstream file(arguments.at("text").get<std::string>(), std::ios::binary);
    text_.assign(std::istreambuf_iterator<char>(file), {});
  }

  Json run(const Json&) override {
    const double begin = seconds_now();
    const std::vector<Token> tokens = tokenizer_.encode_ordinary(text_);
    const double seconds = seconds_now() - begin;
    std::uint64_t sum = 0;
    for (const Token& token : tokens) { sum = (sum * 31 + std::uint64_t(token.id)) % 1000000007; }
    return {{"seconds", seconds}, {"tokens", tokens.size()}, {"sum", sum}};
  }

 private:
  Tokenizer tokenizer_;
  std::string text_;
};

// "figure": a map of 1000 × 1000 cells as SVG, PDF and PNG.
class FigureWork final : public Work {
 public:
  explicit FigureWork(const Json&) {
    Panel panel;
    panel.x.name = "Token";
    panel.y.name = "Layer";
    panel.x.scale = panel.y.scale = Scale::category;
    panel.x.number_when_crowded = panel.y.number_when_crowded = true;
    HeatMap map;
    map.rows = map.columns = 1000;
    for (std::int64_t i = 0; i < map.rows; ++i) {
      panel.x.names.push_back(std::to_string(i));
      panel.y.names.push_back(std::to_string(i));
    }
    for (std::int64_t i = 0; i < map.rows * map.columns; ++i) {
      map.cells.push_back(float(i % 1000) * 0.001f + float(i / 1000 % 7));
    }
    map.colours.label = "Entropy";
    panel.heat_map.push_back(std::move(map));
    figure_.id = "cells";
    figure_.title = "Cells";
    figure_.panels.push_back(std::move(panel));
  }

  Json run(const Json&) override {
    const double begin = seconds_now();
    const std::string svg = render_svg(figure_, {}), pdf = render_pdf(figure_, {}),
                      png = render_png(figure_, {});
    return {{"seconds", seconds_now() - begin}, {"bytes", {svg.size(), pdf.size(), png.size()}}};
  }

 private:
  Figure figure_;
};

}  // namespace

std::unique_ptr<EngineModel> loaded_model(const Model& model, const Json& arguments) {
  LoadOptions options{.threads = arguments.value("threads", 2),
                      .memory = arguments.value("memory", std::uint64_t{0})};
  if (arguments.value("device", "cpu") == "cuda") { options.device = ComputeDevice::cuda; }
  if (arguments.value("dtype", "float32") == "bfloat16") { options.dtype = ComputeType::bfloat16; }
  NoProgress progress;
  std::unique_ptr<EngineModel> loaded;
  const Failure failure = engine(options.device).load(model, options, progress, loaded);
  if (failure) { throw Error(failure); }
  return loaded;
}

void add_model_works(std::map<std::string, Maker>& makers) {
  makers["prefill"] = [](const Json& a) { return std::make_unique<PrefillWork>(a); };
  makers["corpus"] = [](const Json& a) { return std::make_unique<CorpusWork>(a); };
  makers["load"] = [](const Json& a) { return std::make_unique<LoadWork>(a); };
  makers["encode"] = [](const Json& a) { return std::make_unique<EncodeWork>(a); };
  makers["figure"] = [](const Json& a) { return std::make_unique<FigureWork>(a); };
}

}  // namespace kappascope::bench
