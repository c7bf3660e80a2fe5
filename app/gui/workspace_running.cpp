// What the workspace runs: texts, and texts that a model goes on with.
#include <algorithm>
#include <utility>

#include "app/gui/text_layout.h"
#include "app/gui/workspace.h"
#include "core/trace/token_bytes.h"

namespace kappascope::gui {

void Workspace::run(bool live) {
  if (live) { runner_.stop(); }
  RunSettings settings = next_run;
  settings.generates = false;
  runner_.run(settings, live);
}

void Workspace::run_on_cpu(DocumentId id) {
  OpenModel* open = model(id);
  if (!open) { return; }
  open->on_cpu = true;
  open->loaded.reset();
  describe_place(*open);
  use_model(id);
  run();
}

void Workspace::cancel(JobId id) {
  // A text that is being generated stays; cancelled a second time it ends within its token.
  const auto generated = runner_.generated();
  const bool ends = generated && generated->going && id == runner_.job() &&
                    generated->status.prompt > 0 && !generated->status.stopping;
  if (ends) { return runner_.stop_generating(); }
  runner_.stopped(id);
  long_jobs_.cancel(id);
}

// --- generating --------------------------------------------------------------------------------

RunSettings Workspace::generating_next() const {
  RunSettings settings = next_run;
  settings.generates = true;
  settings.window = settings.lens = false;  // of a whole text
  SamplingRule& sampling = settings.rules.sampling;
  if (sampling.temperature == 0) {  // nothing is drawn
    sampling.most = 0;
    sampling.mass = 1;
  }
  return settings;
}

void Workspace::generate() {
  runner_.run(generating_next(), /*live=*/false);
}

bool Workspace::can_go_on() const {
  const OpenModel* model = documents_.model_in_use();
  const Trace* trace = current_trace();
  return can_run() && trace && !trace->token_id.empty() &&
         trace->model_name == model->model->name();
}

void Workspace::go_on(std::int64_t token) {
  if (!can_go_on()) { return; }
  const Trace& trace = *current_trace();
  const std::int64_t tokens = std::min(token + 1, trace.tokens);
  RunSettings settings = generating_next();
  if (tokens == trace.tokens && runner_.can_go_on(view().trace, settings)) {
    return runner_.go_on(settings.rules.tokens);
  }
  settings.ids.assign(trace.token_id.begin(), trace.token_id.begin() + tokens);
  settings.text.clear();
  for (std::int64_t t = 0; t < tokens; ++t) { settings.text += token_bytes(trace, t); }
  settings.source.clear();
  runner_.run(settings, /*live=*/false);
}

// The newest token stays selected as long as no other one is.
DocumentId Workspace::grow_trace(DocumentId id, OpenTrace grown) {
  const auto newest = std::int32_t(grown.trace->tokens - 1);
  if (id < 0) {
    add_trace(std::move(grown));
    pick({.token = newest});
    return view().trace;
  }
  const OpenTrace* old = trace(id);
  if (!old) {  // it was closed
    runner_.stop_generating();
    remove_run(grown.path);
    return id;
  }
  const bool follows = view().trace == id && selection().token == old->trace->tokens - 1;
  grown.compared = old->compared;
  replace_trace(id, std::move(grown));
  if (follows) { pick({.token = newest}, Move::step); }
  return id;
}

}  // namespace kappascope::gui
