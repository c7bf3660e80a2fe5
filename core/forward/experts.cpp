// The order of the work: tokens are sorted by expert; a task is one expert and at most kTaskRows of
// its tokens. A thread takes a task through gate and up products, κ-SwiGLU with its statistics and
// down product while the rows are in its cache. With too few tasks for the threads, as with one
// token, each step is shared out by columns instead. Last, every token gathers its slots' outputs.
#include "core/forward/experts.h"

#include <algorithm>

#include "core/forward/expert_means.h"
#include "core/forward/expert_tasks.h"
#include "core/forward/gate_keep.h"
#include "core/forward/operations.h"
#include "core/forward/workers.h"

namespace kappascope {
namespace {

constexpr std::int64_t kOutputFloats = 16 << 20;  // of expert outputs waiting to be combined
constexpr std::int64_t kWideColumns = 128;        // widened at once, so that they stay in cache

// What a task counts; summed over an expert's tasks in their order.
struct TaskCounts {
  std::int64_t kappa_hist[kKappaBins] = {}, gate_pre_hist[kGatePreBins] = {};
  EffectSums effect;
};

class Experts {
 public:
  Experts(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer, std::int64_t pass,
          const RoutingView& routing, const CallContext& context, const ProbeWants& wants,
          ExpertRecord& record);
  at::Tensor run();

 private:
  void run_whole(std::int64_t begin, std::int64_t end);
  void run_by_columns(std::int64_t begin, std::int64_t end);
  void run_from_file(std::int64_t begin, std::int64_t end);
  void swiglu(std::int64_t task, float* z, float* up);
  void prepare_gates(const Task& task, float* z, float* up);
  void add_down_bias(const Task& task, float* y, std::int64_t column, std::int64_t columns) const;
  void combine(std::int64_t first, std::int64_t last);
  void add_cell(std::int64_t at, float weight, const float* from, float* to);
  void add_means();
  void collect();
  // y [rows,out] = x · matrix [in,out], columns [column, column + columns) of it. `x_rows`: which
  // rows of x, nullptr: the first ones.
  void multiply(const float* x, const std::int64_t* x_rows, const at::Tensor& matrix,
                std::int64_t rows, float* y, std::int64_t column, std::int64_t columns) const;

  void multiply_turned(const float* x, const std::int64_t* x_rows, const at::Tensor& matrix,
                       std::int64_t rows, float* y, std::int64_t column,
                       std::int64_t columns) const;

  const at::Tensor& x_;
  const MoeWeights& weights_;
  const RoutingView& routing_;
  const CallContext& context_;
  const Architecture& architecture_;
  const ProbeWants wants_;
  ExpertRecord& record_;
  const std::int64_t width_, gates_;
  const GateRules rules_;
  bool bilinear_, scored_;
  KappaView kappa_;
  Sorted sorted_;
  std::vector<std::int64_t> record_row_;  // of the sorted rows, in [T,K] of the record
  std::vector<TaskCounts> counts_;        // by task
  at::Tensor y_;                          // [rows,H] outputs of the tasks in work
  std::int64_t y_first_ = 0;              // sorted row of its first
  at::Tensor output_;                     // [T,H]
  const LayerPlan& plan_;
  ExpertMeans means_;
};

Experts::Experts(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                 std::int64_t pass, const RoutingView& routing, const CallContext& context,
                 const ProbeWants& wants, ExpertRecord& record)
    : x_(x),
      weights_(weights),
      routing_(routing),
      context_(context),
      architecture_(context.model.architecture),
      wants_(wants),
      record_(record),
      width_(x.size(1)),
      gates_(context.plan.layers[layer].spec->gates()),
      rules_(gate_rules(context.plan.layers[layer].spec->moe()->gate, weights)),
      sorted_(routing),
      output_(at::zeros_like(x)),
      plan_(context.plan.layers[layer]),
      means_(plan_, width_) {
  const MoeSpec& spec = *context.plan.layers[layer].spec->moe();
  bilinear_ = spec.gate.activation == Activation::identity;
  scored_ = spec.score.has_value() && route_score(spec.score) != RouteScore::none;
  kappa_ = context.plan.kappa_of(layer, pass).view();
  record_.prepare(routing.from(context.call.first_recorded), gates_, wants, context.gate_memory);
  if (wants.gate_stats) { counts_.resize(sorted_.tasks.size()); }
  if (wants.gate_stats && rules_.limited()) { record_.prepare_clamped(); }
  if (!wants.gate_stats && !wants.gates) { return; }
  const std::int64_t skipped = context.call.first_recorded * routing.slots;
  for (const std::int64_t cell : sorted_.cell) { record_row_.push_back(cell - skipped); }
}

// The same with bfloat16 weights that many files have as [out,in]: some columns at a time are
// widened and turned.
void Experts::multiply_turned(const float* x, const std::int64_t* x_rows, const at::Tensor& matrix,
                              std::int64_t rows, float* y, std::int64_t column,
                              std::int64_t columns) const {
  const std::int64_t in = matrix.size(0), out = matrix.size(1), step = matrix.stride(1);
  const at::Tensor room = at::empty({in * std::min(columns, kWideColumns)});
  const float* weight = room.const_data_ptr<float>();
  const auto* bits = static_cast<const std::uint16_t*>(matrix.const_data_ptr());
  for (std::int64_t c = column; c < column + columns; c += kWideColumns) {
    const std::int64_t count = std::min(kWideColumns, column + columns - c);
    cpu_kernels().widen_turned(bits + c * step, step, in, count, room.mutable_data_ptr<float>());
    cpu_kernels().row_product({rows, in, count, x, in, x_rows, weight, count, y + c, out});
  }
}

void Experts::multiply(const float* x, const std::int64_t* x_rows, const at::Tensor& matrix,
                       std::int64_t rows, float* y, std::int64_t column,
                       std::int64_t columns) const {
  const std::int64_t in = matrix.size(0), out = matrix.size(1);
  if (matrix.scalar_type() == at::kFloat) {
    const float* weight = matrix.const_data_ptr<float>() + column;
    cpu_kernels().row_product({rows, in, columns, x, in, x_rows, weight, out, y + column, out});
    return;
  }
  if (weights_.compute == at::kFloat && matrix.stride(0) == 1) {
    return multiply_turned(x, x_rows, matrix, rows, y, column, columns);
  }
  if (weights_.compute == at::kFloat) {
    const auto* bits = static_cast<const std::uint16_t*>(matrix.const_data_ptr()) + column;
    cpu_kernels().row_product({.rows = rows,
                               .in = in,
                               .out = columns,
                               .x = x,
                               .x_stride = in,
                               .row_index = x_rows,
                               .weight_stride = matrix.stride(0),
                               .y = y + column,
                               .y_stride = out,
                               .weight_bits = bits});
    return;
  }
  at::Tensor given = at::from_blob(const_cast<float*>(x), {x_rows ? x_.size(0) : rows, in});
  if (x_rows) {
    given =
        given.index_select(0, at::from_blob(const_cast<std::int64_t*>(x_rows), {rows}, at::kLong));
  }
  at::from_blob(y, {rows, out})
      .narrow(1, column, columns)
      .copy_(product(given, matrix.narrow(1, column, columns)));
}

// The rules of the layer, to z and up [rows,I] of a task.
void Experts::prepare_gates(const Task& task, float* z, float* up) {
  if (!rules_.any()) { return; }
  for (std::int64_t r = 0; r < task.rows; ++r, z += gates_, up += gates_) {
    const std::int64_t at_limit = apply_rules(rules_, task.expert, gates_, z, up);
    const std::int64_t to = record_row_.empty() ? -1 : record_row_[task.first + r];
    if (to >= 0 && !record_.gate_clamped.empty()) {
      record_.gate_clamped[to] = float(double(at_limit) / double(gates_));
    }
  }
}

// y [rows,H] of a task, columns [column, column + columns).
void Experts::add_down_bias(const Task& task, float* y, std::int64_t column,
                            std::int64_t columns) const {
  if (!weights_.down_bias.defined()) { return; }
  const float* bias = weights_.down_bias.const_data_ptr<float>() + task.expert * width_ + column;
  for (std::int64_t r = 0; r < task.rows; ++r) {
    float* to = y + r * width_ + column;
    for (std::int64_t i = 0; i < columns; ++i) { to[i] += bias[i]; }
  }
}

// z, up [rows,I] of a task → a ∘ up in place of up, and its statistics.
void Experts::swiglu(std::int64_t number, float* z, float* up) {
  const Task& task = sorted_.tasks[number];
  const std::int64_t* token = sorted_.token.data() + task.first;
  prepare_gates(task, z, up);
  KappaSwigluArgs args;
  args.rows = task.rows;
  args.gates = gates_;
  args.gate_pre = z;
  args.up = args.hidden = up;
  if (scored_) { args.score = sorted_.score.data() + task.first; }
  args.kappa = kappa_.at_expert(task.expert);
  args.identity_gate = bilinear_;
  args.first_recorded =
      std::lower_bound(token, token + task.rows, context_.call.first_recorded) - token;
  args.active_threshold = float(architecture_.gate_threshold);
  args.top_gates = architecture_.gate_top;
  if (!record_row_.empty()) { args.out_row = record_row_.data() + task.first; }
  if (wants_.gate_stats) {
    TaskCounts& counts = counts_[number];
    args.stats = record_.gate_stats.data();
    args.kappa_stats = record_.kappa_stats.data();
    args.kappa_hist = counts.kappa_hist;
    args.gate_pre_hist = counts.gate_pre_hist;
    args.effect = &counts.effect;
  }
  if (wants_.gates) {
    args.kappa_out = record_.kappa.mutable_data_ptr<float>();
    args.gate_pre_out = record_.gate_pre.mutable_data_ptr<float>();
    args.gate_act_out = record_.gate_act.mutable_data_ptr<float>();
  }
  const double share = plan_.share_kept(task.expert);
  if (share == 1) { return cpu_kernels().kappa_swiglu(args); }
  kappa_swiglu_of_largest(cpu_kernels(), args, share);
}

void Experts::run_whole(std::int64_t begin, std::int64_t end) {
  float* y = y_.mutable_data_ptr<float>();
  const float* x = x_.const_data_ptr<float>();
  share_out(end - begin, context_, [&](std::int64_t i) {
    const Task& task = sorted_.tasks[begin + i];
    const at::Tensor both = at::empty({2, task.rows, gates_});
    float* z = both.mutable_data_ptr<float>();
    float* up = z + task.rows * gates_;
    const std::int64_t* token = sorted_.token.data() + task.first;
    const auto matrix = [&](Role role) { return weights_.kept(role, task.expert); };
    multiply(x, token, matrix(Role::expert_gate), task.rows, z, 0, gates_);
    multiply(x, token, matrix(Role::expert_up), task.rows, up, 0, gates_);
    swiglu(begin + i, z, up);
    multiply(up, nullptr, matrix(Role::expert_down), task.rows,
             y + (task.first - y_first_) * width_, 0, width_);
    add_down_bias(task, y + (task.first - y_first_) * width_, 0, width_);
  });
}

// A thread takes all tasks of an expert, so that each matrix is read once.
void Experts::run_from_file(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> start;  // the first task of each expert, then the end
  for (std::int64_t i = begin; i < end; ++i) {
    const bool same = i > begin && sorted_.tasks[i].expert == sorted_.tasks[i - 1].expert;
    if (!same) { start.push_back(i); }
  }
  start.push_back(end);
  float* y = y_.mutable_data_ptr<float>();
  const float* x = x_.const_data_ptr<float>();
  share_out(std::ssize(start) - 1, context_, [&](std::int64_t i) {
    const Task &first = sorted_.tasks[start[i]], &last = sorted_.tasks[start[i + 1] - 1];
    const at::Tensor both = at::empty({2, last.first + last.rows - first.first, gates_});
    float *z = both[0].mutable_data_ptr<float>(), *up = both[1].mutable_data_ptr<float>();
    const auto for_tasks = [&](Role role, const auto& work) {
      const at::Tensor matrix = weights_.kept(role, first.expert);
      for (std::int64_t t = start[i]; t < start[i + 1]; ++t) {
        work(matrix, t, (sorted_.tasks[t].first - first.first) * gates_);
      }
    };
    const auto project_in = [&](float* to) {
      return [&, to](const at::Tensor& matrix, std::int64_t t, std::int64_t at) {
        const Task& task = sorted_.tasks[t];
        multiply(x, sorted_.token.data() + task.first, matrix, task.rows, to + at, 0, gates_);
      };
    };
    for_tasks(Role::expert_gate, project_in(z));
    for_tasks(Role::expert_up, project_in(up));
    for_tasks(Role::expert_down, [&](const at::Tensor& matrix, std::int64_t t, std::int64_t at) {
      const Task& task = sorted_.tasks[t];
      swiglu(t, z + at, up + at);
      float* to = y + (task.first - y_first_) * width_;
      multiply(up + at, nullptr, matrix, task.rows, to, 0, width_);
      add_down_bias(task, to, 0, width_);
    });
  });
}

void Experts::run_by_columns(std::int64_t begin, std::int64_t end) {
  const std::int64_t tasks = end - begin, threads = at::get_num_threads();
  const at::Tensor both = at::empty({2, y_.size(0), gates_});
  float* z = both.mutable_data_ptr<float>();
  float* up = z + y_.size(0) * gates_;
  float* y = y_.mutable_data_ptr<float>();
  const float* x = x_.const_data_ptr<float>();
  const Columns inner(gates_, (2 * threads + tasks - 1) / tasks);
  const Columns outer(width_, (2 * threads + tasks - 1) / tasks);
  const auto row = [&](std::int64_t i) { return sorted_.tasks[begin + i].first - y_first_; };
  share_out(tasks * 2 * inner.parts, context_, [&](std::int64_t i) {
    const std::int64_t at = i / inner.parts / 2, part = i % inner.parts;
    const bool gate = i / inner.parts % 2 == 0;
    const Task& task = sorted_.tasks[begin + at];
    const at::Tensor matrix =
        weights_.kept(gate ? Role::expert_gate : Role::expert_up, task.expert);
    multiply(x, sorted_.token.data() + task.first, matrix, task.rows,
             (gate ? z : up) + row(at) * gates_, inner.first(part), inner.count(part));
  });
  share_out(tasks, context_,
            [&](std::int64_t i) { swiglu(begin + i, z + row(i) * gates_, up + row(i) * gates_); });
  share_out(tasks * outer.parts, context_, [&](std::int64_t i) {
    const std::int64_t at = i / outer.parts, part = i % outer.parts;
    const Task& task = sorted_.tasks[begin + at];
    multiply(up + row(at) * gates_, nullptr, weights_.kept(Role::expert_down, task.expert),
             task.rows, y + row(at) * width_, outer.first(part), outer.count(part));
    add_down_bias(task, y + row(at) * width_, outer.first(part), outer.count(part));
  });
}

// Adds the outputs of sorted rows [first, last), which are in y_, to their tokens', slot by slot.
void Experts::combine(std::int64_t first, std::int64_t last) {
  const float* y = y_.const_data_ptr<float>();
  float* output = output_.mutable_data_ptr<float>();
  const std::int64_t tokens = x_.size(0), each = 64;
  share_out((tokens + each - 1) / each, context_, [&](std::int64_t i) {
    for (std::int64_t t = i * each; t < std::min(tokens, (i + 1) * each); ++t) {
      for (std::int64_t k = 0; k < routing_.slots; ++k) {
        const auto cell = std::size_t(t * routing_.slots + k);
        const std::int64_t at = sorted_.position[cell];
        if (at < first || at >= last) { continue; }
        const ExpertMode mode = plan_.mode(routing_.cells.expert[cell]);
        if (mode == ExpertMode::mean) { continue; }  // once all of its outputs are known
        add_cell(at, routing_.cells.weight[cell],
                 mode == ExpertMode::zero ? nullptr : y + (at - first) * width_,
                 output + t * width_);
      }
    }
  });
}

// Adds the output of sorted row `at`, nullptr: 0, to its token's.
void Experts::add_cell(std::int64_t at, float weight, const float* from, float* to) {
  if (wants_.gate_stats && record_row_[at] >= 0) {
    record_.output_norm[record_row_[at]] = from ? cpu_kernels().norm(from, width_) : 0;
  }
  if (from == nullptr) { return; }
  for (std::int64_t h = 0; h < width_; ++h) { to[h] += weight * from[h]; }
}

// The tokens of experts whose output is its mean over all of them.
void Experts::add_means() {
  if (!means_.any()) { return; }
  float* output = output_.mutable_data_ptr<float>();
  for (std::size_t at = 0; at < sorted_.cell.size(); ++at) {
    const std::int64_t cell = sorted_.cell[at];
    const float* mean = means_.of(routing_.cells.expert[cell]);
    if (mean == nullptr) { continue; }
    add_cell(std::int64_t(at), routing_.cells.weight[cell], mean,
             output + sorted_.token[at] * width_);
  }
}

void Experts::collect() {
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const auto e = std::size_t(sorted_.tasks[i].expert);
    for (std::size_t bin = 0; bin < kKappaBins; ++bin) {
      record_.kappa_hist[e * kKappaBins + bin] += counts_[i].kappa_hist[bin];
    }
    for (std::size_t bin = 0; bin < kGatePreBins; ++bin) {
      record_.gate_pre_hist[e * kGatePreBins + bin] += counts_[i].gate_pre_hist[bin];
    }
    add_effects(record_.effect[e], counts_[i].effect);
  }
}

at::Tensor Experts::run() {
  const auto tasks = std::int64_t(sorted_.tasks.size());
  const std::int64_t most = std::max(kTaskRows, kOutputFloats / width_);
  for (std::int64_t begin = 0, end = 0; begin < tasks; begin = end) {
    y_first_ = sorted_.tasks[begin].first;
    std::int64_t last = y_first_;
    for (; end < tasks; ++end) {
      const Task& task = sorted_.tasks[end];
      if (task.first + task.rows - y_first_ > most) { break; }
      last = task.first + task.rows;
    }
    y_ = at::empty({last - y_first_, width_});
    const std::int64_t threads = at::get_num_threads(), count = end - begin;
    if (weights_.in_file()) {
      run_from_file(begin, end);
    } else if (count < 2 * threads && count % threads != 0) {
      run_by_columns(begin, end);
    } else {
      run_whole(begin, end);
    }
    combine(y_first_, last);
    for (std::int64_t at = y_first_; means_.any() && at < last; ++at) {
      means_.add(routing_.cells.expert[sorted_.cell[at]],
                 y_.const_data_ptr<float>() + (at - y_first_) * width_);
    }
  }
  add_means();
  collect();
  return output_;
}

}  // namespace

at::Tensor run_experts(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                       std::int64_t pass, const RoutingView& routing, const CallContext& context,
                       const ProbeWants& wants, ExpertRecord& record) {
  return Experts(x, weights, layer, pass, routing, context, wants, record).run();
}

}  // namespace kappascope
