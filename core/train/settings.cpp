#include "core/train/settings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numbers>
#include <type_traits>

namespace kappascope {
namespace {

constexpr const char* kOptional = "micro_batch";

// A file of settings is read and written by the same list of members.
template <typename Settings, typename Visit>
void visit_members(Settings& settings, Visit&& visit) {
  visit("layers", settings.layers);
  visit("width", settings.width);
  visit("heads", settings.heads);
  visit("kv_heads", settings.kv_heads);
  visit("experts", settings.experts);
  visit("top_k", settings.top_k);
  visit("context", settings.context);
  visit("vocab", settings.vocab);
  visit("window", settings.window);
  visit("kappa", settings.kappa);
  visit("granularity", settings.granularity);
  visit("bound", settings.bound);
  visit("kappa_router", settings.kappa_router);
  visit("router", settings.router);
  visit("budget", settings.budget);
  visit("threshold", settings.threshold);
  visit("threshold_scale", settings.threshold_scale);
  visit("expansion", settings.expansion);
  visit("temperature", settings.temperature);
  visit("temperature_start", settings.temperature_start);
  visit("texts", settings.texts);
  visit("text_field", settings.text_field);
  visit("tokens", settings.tokens);
  visit("batch", settings.batch);
  visit("seed", settings.seed);
  visit("stream_sha256", settings.stream_sha256);
  visit("rate", settings.rate);
  visit("decay", settings.decay);
  visit("kappa_l2", settings.kappa_l2);
  visit("kappa_delay", settings.kappa_delay);
  visit("kappa_warmup", settings.kappa_warmup);
  visit("save_every", settings.save_every);
  visit("evaluate_every", settings.evaluate_every);
  visit("describe_every", settings.describe_every);
  visit("evaluate_rows", settings.evaluate_rows);
  visit("save_dtype", settings.save_dtype);
  visit(kOptional, settings.micro_batch);  // absent: 0
}

constexpr double kFinalKappaRate = 0.5;  // of the κ rate, at the end
constexpr double kBoundWarmup = 0.15;    // share of the steps
constexpr double kWarmdown = 0.5;        // share of the steps at the end, down to a rate of 0
constexpr double kBalance = 1e-3;        // twice that at the start
constexpr double kBalanceSteps = 500;    // down to kBalance
constexpr double kRouterZ = 1e-5;
constexpr double kTrainCapacity = 1.25;
constexpr double kTemperatureUnits = 1 << 20;  // of 1: a cosine's last bits differ by machine

// 0 during the delay, up to 1, then down to kFinalKappaRate.
double kappa_rate(const TrainSettings& settings, std::int64_t step) {
  const std::int64_t steps = settings.steps();
  const std::int64_t delay = std::min(kappa_delay(settings), steps);
  const std::int64_t warmup = std::min(settings.kappa_warmup, steps - delay);
  if (step < delay) { return 0; }
  if (step - delay < warmup) { return double(step - delay) / double(warmup); }
  const std::int64_t rest = steps - delay - warmup;
  if (rest <= 0) { return 1; }
  return 1 + (kFinalKappaRate - 1) * double(step - delay - warmup) / double(rest);
}

// U in force: 1 during the delay, then up to settings.bound.
double bound_at(const TrainSettings& settings, std::int64_t step) {
  const std::int64_t delay = kappa_delay(settings);
  const double warmup = std::ceil(double(settings.steps()) * kBoundWarmup);
  if (step < delay) { return 1; }
  const double progress = warmup <= 0 ? 1 : std::min(1.0, double(step - delay) / warmup);
  return 1 + (settings.bound - 1) * progress;
}

// 1, then down to 0 over the last half.
double warmdown(const TrainSettings& settings, std::int64_t step) {
  // Halves to the even number, as the reference's Python rounds.
  const auto steps = double(settings.steps()), last = std::nearbyint(kWarmdown * steps);
  return double(step) <= steps - last ? 1 : (steps - double(step)) / last;
}

// T in force: from settings.temperature_start to settings.temperature at the last step.
double temperature_at(const TrainSettings& settings, std::int64_t step) {
  if (!settings.is_soft()) { return 1; }
  if (step >= settings.steps()) { return settings.temperature; }
  const double share = double(step) / double(settings.steps());
  const double rest = 0.5 * (1 + std::cos(std::numbers::pi * share));
  const double now =
      settings.temperature + (settings.temperature_start - settings.temperature) * rest;
  return std::max(1.0, std::round(now * kTemperatureUnits)) / kTemperatureUnits;
}

// The fields of soft routing (SPEC §3, SPEC-layouts §3a).
void add_soft_routing(const TrainSettings& settings, std::int64_t step, Json& config) {
  config["router_type"] = "lapsum";
  config["lapsum_budget_total"] = settings.total_budget();
  config["lapsum_temperature"] = temperature_at(settings, step);
  if (settings.expansion > 0) { config["lapsum_expansion"] = settings.expansion; }
  if (settings.threshold >= 0) {
    config["lapsum_threshold"] = settings.threshold;
  } else {
    config["lapsum_threshold_scale"] = settings.threshold_scale;
  }
}

// What a value of a member may be in a file: numbers of counts are whole.
template <typename Value>
bool is_of_kind(const Json& value) {
  if constexpr (std::is_same_v<Value, std::int64_t>) { return value.is_number_integer(); }
  if constexpr (std::is_same_v<Value, double>) { return value.is_number(); }
  return true;
}

// Collects what is wrong with settings.
class Expectations {
 public:
  template <typename... Parts>
  void expect(bool holds, const Parts&... what) {
    if (!holds) { faults_ += (faults_.empty() ? "" : "; ") + join_words(what...); }
  }
  void in_range(const char* option, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (most == kMost && value <= most) {
      expect(value >= least, option, ": expected at least ", least, ", found ", value);
    } else {
      expect(value >= least && value <= most, option, ": expected ", least, " to ", most,
             ", found ", value);
    }
  }
  void not_negative(const char* option, double value) {
    expect(value >= 0 && std::isfinite(value), option,
           ": expected a finite number from 0 up, found ", value);
  }
  void one_of(const char* option, const std::string& value,
              std::initializer_list<const char*> known) {
    expect(std::find(known.begin(), known.end(), value) != known.end(), option, ": unknown value '",
           value, "'");
  }
  const std::string& faults() const { return faults_; }

  static constexpr std::int64_t kMost = std::int64_t{1} << 40;

 private:
  std::string faults_;
};

void expect_model(const TrainSettings& settings, Expectations& is) {
  is.in_range("--layers", settings.layers, 1, 1024);
  is.in_range("--width", settings.width, 32, 65536);
  is.in_range("--heads", settings.heads, 0, 65536);
  is.in_range("--kv-heads", settings.kv_heads, 0, 65536);
  is.expect(settings.heads > 0 || settings.width % 32 == 0,
            "--width: expected a multiple of 32, or --heads, found ", settings.width);
  const std::int64_t heads = settings.head_count();
  const std::int64_t kv_heads = settings.kv_head_count();
  if (heads > 0) {
    is.expect(settings.width % heads == 0 && settings.width / heads % 2 == 0,
              "--heads: expected heads of one even width in ", settings.width, ", found ", heads);
    is.expect(heads % kv_heads == 0, "--kv-heads: expected a divisor of ", heads, ", found ",
              kv_heads);
  }
  is.in_range("--experts", settings.experts, 2, 65536);
  is.expect(settings.top_k >= 1 && settings.top_k <= settings.experts, "--top-k: expected at most ",
            settings.experts, " and at least 1, found ", settings.top_k);
  is.one_of("--kappa", settings.kappa,
            {"top_logits", "router_probs", "constant", "gate_proj", "off"});
  is.one_of("--granularity", settings.granularity,
            {"per-gate", "per-expert", "per-layer", "global"});
  is.expect(settings.bound > 0 && std::isfinite(settings.bound),
            "--bound: expected a number above 0, found ", settings.bound);
  is.expect(
      settings.window.find_first_not_of("SL") == std::string::npos && !settings.window.empty(),
      "--window: expected letters S and L, found '", settings.window, "'");
  is.expect(!settings.kappa_router || (settings.has_kappa() && settings.kappa != "constant"),
            "--kappa-router: expected an input of κ that is not constant, found --kappa ",
            settings.kappa);
}

// From here on all experts are alike.
constexpr double kMostTemperature = 1e9;

void expect_soft_routing(const TrainSettings& settings, Expectations& is) {
  is.one_of("--router", settings.router, {"topk", "softmoe"});
  is.not_negative("--threshold-scale", settings.threshold_scale);
  is.not_negative("--expansion", settings.expansion);
  for (const auto& [option, value] :
       {std::pair{"--temperature", settings.temperature},
        std::pair{"--temperature-start", settings.temperature_start}}) {
    is.expect(value > 0 && value <= kMostTemperature, option,
              ": expected a number over 0, at most ", kMostTemperature, ", found ", value);
  }
  is.expect(settings.threshold < 1, "--threshold: expected a number from 0 to below 1, found ",
            settings.threshold);
  is.expect(settings.budget == 0 || settings.budget >= 1,
            "--budget: expected at least 1 for each layer with experts, found ", settings.budget);
  if (!settings.is_soft() || settings.layers < 1 || settings.experts < 1) { return; }
  // One layer may come to have all that is above 1 in every other.
  const auto layers = double(settings.moe_layers());
  is.expect((settings.mean_budget() - 1) * layers + 1 < double(settings.experts),
            settings.budget > 0 ? "--budget" : "--top-k", ": expected less than ",
            1 + double(settings.experts - 1) / layers, " with ", settings.experts, " experts in ",
            layers, " layers, so that no layer can come to need all of them, found ",
            settings.mean_budget(), "; more --experts allow more");
}

void expect_course(const TrainSettings& settings, Expectations& is) {
  constexpr std::int64_t kMost = Expectations::kMost;
  constexpr std::int64_t kTokensOfStep = 1 << 28;  // at most: ids and losses of a step fit memory
  is.in_range("--context", settings.context, 2, 1 << 24);
  if (settings.context >= 2) {
    is.in_range("--batch", settings.batch, 1,
                std::max<std::int64_t>(1, kTokensOfStep / settings.context));
  }
  is.expect(settings.micro_batch == 0 ||
                (settings.micro_batch > 0 && settings.batch % settings.micro_batch == 0),
            "--micro-batch: expected a divisor of --batch ", settings.batch, ", found ",
            settings.micro_batch);
  is.in_range("--tokens", settings.tokens, 1, kMost);
  is.one_of("--save-dtype", settings.save_dtype, {"float32", "bfloat16"});
  is.in_range("--save-every", settings.save_every, 1, kMost);
  is.in_range("--eval-every", settings.evaluate_every, 1, kMost);
  is.in_range("evaluate_rows", settings.evaluate_rows, 1, kMost);
  is.in_range("describe_every", settings.describe_every, 0, kMost);
  is.expect(settings.seed >= 0, "--seed: expected at least 0, found ", settings.seed);
  is.expect(settings.kappa_delay >= -1 && settings.kappa_delay <= 1 << 30,
            "--kappa-delay: expected 0 to ", 1 << 30, ", found ", settings.kappa_delay);
  is.in_range("--kappa-warmup", settings.kappa_warmup, 0, kMost);
  is.expect(settings.rate >= 0 && std::isfinite(settings.rate),
            "--lr: expected a finite number over 0, found ", settings.rate);
  is.not_negative("--weight-decay", settings.decay);
  is.not_negative("--kappa-l2", settings.kappa_l2);
}

}  // namespace

std::int64_t TrainSettings::steps() const {
  const std::int64_t a_step = batch * context;
  return (tokens + a_step - 1) / a_step;
}

Json settings_json(const TrainSettings& settings) {
  Json document = Json::object();
  visit_members(settings, [&](const char* name, const auto& value) { document[name] = value; });
  if (settings.micro_batch == 0) { document.erase(kOptional); }
  return document;
}

TrainSettings read_settings(const Json& document, const std::string& file) {
  TrainSettings settings;
  Faults faults(file);
  visit_members(settings, [&](const char* name, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if (name == kOptional && document.is_object() && !document.contains(name)) { return; }
    try {
      const Json& member = document.at(name);
      if (is_of_kind<Value>(member)) {
        value = member.get<Value>();
        return;
      }
    } catch (const Json::exception&) {}
    faults.add(ExitCode::damaged, {}, "training settings: ", name, " is missing or no value of ",
               "its kind");
  });
  faults.throw_if_any();
  const std::string impossible = settings_faults(settings);
  if (!impossible.empty()) { faults.add(ExitCode::damaged, {}, "training settings: ", impossible); }
  faults.throw_if_any();
  return settings;
}

Json meta_json(const TrainSettings& settings, std::int64_t step) {
  const std::int64_t heads = settings.head_count(), start = settings.first_moe_layer();
  const bool kappa = settings.has_kappa();
  Json config = {{"sequence_len", settings.context},
                 {"vocab_size", settings.vocab},
                 {"n_layer", settings.layers},
                 {"n_head", heads},
                 {"n_kv_head", settings.kv_head_count()},
                 {"n_embd", settings.width},
                 {"n_exp", settings.experts},
                 {"moe_top_k", settings.top_k},
                 {"moe_start_layer", start},
                 {"moe_layer_stride", 1},
                 {"num_moe_layers", -1},
                 {"use_aux_loss", true},
                 {"use_aux_free_load_balancing", false},
                 {"aux_loss_weight", kBalance},
                 {"use_router_z_loss", true},
                 {"z_loss_demean_logits", true},
                 {"z_loss_penalize_mean_logits", true},
                 {"router_z_loss_weight", kRouterZ},
                 {"router_z_loss_input_grad_scale", 0.1},
                 {"use_kappa_swiglu", kappa},
                 {"kappa_input", kappa ? settings.kappa : "top_logits"},
                 {"kappa_input_constant", 1.0},
                 {"kappa_input_logit_norm_exponent", 0.5},
                 {"moe_kappa_slope_max_scale", settings.bound},
                 {"constant_kappa_bias_dense_layers", false},
                 {"global_kappa_bias_granularity", settings.granularity},
                 {"kappa_bias_start_layer", start},
                 {"train_capacity", kTrainCapacity},
                 {"eval_capacity", 3.0},
                 {"min_capacity", 4},
                 {"use_qwen3_moe_mlp", true},
                 {"use_qwen3_dense_mlp", true},
                 {"bilinear_mlp_moe", false},
                 {"window_pattern", settings.window},
                 {"total_ut_steps", 1},
                 {"gate_stats_threshold", 0.1},
                 {"gate_stats_topk", 16}};
  if (settings.kappa_router) { config["independent_kappa_router"] = true; }
  if (settings.is_soft()) { add_soft_routing(settings, step, config); }
  // What says from which step on U is the final one (core/model/schedule.h), and all the rest.
  Json user = {{"num_iterations", settings.steps()},
               {"kappa_delay_start_min_iterations", kappa_delay(settings)},
               {"kappa_slope_max_scale_warmup_iteration_frac", kBoundWarmup},
               {"kappa_lr_warmup_iterations", settings.kappa_warmup},
               {"kappascope_train", settings_json(settings)}};
  return {{"step", step},
          {"model_config", std::move(config)},
          {"user_config", std::move(user)},
          {"device_batch_size", settings.call()},
          {"max_seq_len", settings.context}};
}

std::string settings_faults(const TrainSettings& settings) {
  Expectations is;
  expect_model(settings, is);
  expect_soft_routing(settings, is);
  expect_course(settings, is);
  return is.faults();
}

std::int64_t kappa_delay(const TrainSettings& settings) {
  if (settings.kappa_delay >= 0) { return settings.kappa_delay; }
  const double share = std::ceil(0.05 * double(settings.steps()));
  return std::max<std::int64_t>(200, std::int64_t(share));
}

void check_settings(const TrainSettings& settings) {
  const std::string faults = settings_faults(settings);
  require(faults.empty(), ExitCode::usage, {}, faults);
}

TrainingStep training_step(const TrainSettings& settings, std::int64_t step) {
  // Rates were tuned at 2¹⁹ tokens a step and a width of 768.
  const double batch_scale = std::sqrt(double(settings.batch * settings.context) / double(1 << 19));
  const double width_scale = std::sqrt(768.0 / double(settings.width));
  const double matrices = settings.rate > 0 ? settings.rate : 0.01 * batch_scale * width_scale;
  const double scale = settings.rate > 0 ? matrices / (0.01 * width_scale) : batch_scale;
  const double now = warmdown(settings, step);
  const auto layers = double(settings.layers), share = double(step) / double(settings.steps());
  TrainingStep result;
  result.rates.matrices = matrices * now;
  result.rates.decay = settings.decay * (12 / layers) * (12 / layers) * (1 - share);
  result.rates.embedding = 0.3 * scale * width_scale * now;
  result.rates.head = 0.004 * scale * width_scale * now;
  result.rates.residual = 0.005 * scale * now;
  result.rates.input = 0.5 * scale * now;
  result.rates.kappa = 0.3 * scale * width_scale * now * kappa_rate(settings, step);
  result.bound = bound_at(settings, step);
  result.temperature = temperature_at(settings, step);
  result.balance = kBalance * (2 - std::min(1.0, double(step) / kBalanceSteps));
  result.router_z = kRouterZ;
  result.kappa_l2 = settings.kappa_l2;
  result.describe = settings.describe_every > 0 && step % settings.describe_every == 0;
  return result;
}

}  // namespace kappascope
