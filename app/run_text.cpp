#include "app/run_text.h"

#include <algorithm>

#include "app/device.h"
#include "core/checkpoint/folder.h"
#include "core/checkpoint/tensor.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {

std::optional<std::filesystem::path> tokenizer_if_any(const Model& model,
                                                      const std::string& folder) {
  try {
    return find_tokenizer(model.files.weights.parent_path(), folder);
  } catch (const Error& error) {
    if (!folder.empty() || error.code() != ExitCode::io) { throw; }
    return {};
  }
}

namespace {

TokenizedText of_tokens(std::vector<Token> tokens, const SourceText& text,
                        const Tokenizer& tokenizer, const Model& model, std::int64_t max_tokens) {
  TokenizedText result = with_bytes(std::move(tokens), &tokenizer, max_tokens);
  require(!result.tokens.empty(), ExitCode::unsupported, {.file = text.source},
          "the text has no tokens, and the tokenizer puts none in front of it; expected some text");
  for (std::size_t t = 0; t < result.tokens.size(); ++t) {
    check_id(result.tokens[t].id, t, model, text.source);
  }
  result.document = {.source = text.source, .sha256 = sha256_hex(text.text)};
  return result;
}

}  // namespace

TokenizedText tokenize(const SourceText& text, const Tokenizer& tokenizer, const Model& model,
                       std::int64_t max_tokens) {
  return of_tokens(tokenizer.encode(text.text, text.source), text, tokenizer, model, max_tokens);
}

TokenizedText tokenize_chat(const SourceText& text, const ChatFormat& format,
                            const Tokenizer& tokenizer, const Model& model, std::int64_t max_tokens,
                            ChatUse use) {
  ChatTokens chat = format.render(text.text, tokenizer, text.source, use);
  TokenizedText result = of_tokens(std::move(chat.tokens), text, tokenizer, model, max_tokens);
  chat.assistant.resize(result.tokens.size());
  result.assistant = std::move(chat.assistant);
  result.chat = format.name();
  result.chat_sha256 = format.sha256();
  return result;
}

void cut_into_chunks(TokenizedText& text, std::int64_t sequence_len, bool window,
                     const std::string& source) {
  const std::int64_t tokens = std::int64_t(text.tokens.size());
  require(window || tokens <= sequence_len, ExitCode::unsupported, Remedy::cut_text,
          {.file = source}, "text too long; expected at most ", sequence_len,
          " tokens (sequence_len), found ", tokens);
  text.chunks.clear();
  for (std::int64_t recorded = 0; recorded < tokens;) {
    TextChunk chunk;
    chunk.begin = recorded == 0 ? 0 : recorded - sequence_len / 2;
    chunk.first_recorded = recorded;
    chunk.end = std::min(tokens, chunk.begin + sequence_len);
    text.chunks.push_back(chunk);
    recorded = chunk.end;
  }
}

void check_id(std::int64_t id, std::size_t position, const Model& model,
              const std::string& source) {
  require(id >= 0 && id < model.architecture.vocab, ExitCode::unsupported, {.file = source},
          "token id at position ", position, "; expected 0 to ", model.architecture.vocab - 1,
          ", found ", id);
}

TokenizedText with_bytes(std::vector<Token> tokens, const Tokenizer* tokenizer,
                         std::int64_t max_tokens) {
  if (max_tokens > 0 && std::int64_t(tokens.size()) > max_tokens) {
    tokens.resize(std::size_t(max_tokens));
  }
  TokenizedText result;
  for (const Token& token : tokens) {
    result.bytes.emplace_back(tokenizer ? tokenizer->bytes(token.id) : std::string_view());
  }
  result.tokens = std::move(tokens);
  return result;
}

TokenizedText tokens_of_ids(const std::vector<std::int64_t>& ids, const std::string& source,
                            const Tokenizer* tokenizer, const Model& model,
                            std::int64_t max_tokens) {
  require(!ids.empty(), ExitCode::unsupported, {.file = source},
          "expected at least one token id, found none");
  std::vector<Token> tokens;
  std::string decimals;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    check_id(ids[t], t, model, source);
    tokens.push_back({.id = std::int32_t(ids[t])});
    decimals += join_words(t == 0 ? "" : " ", ids[t]);
  }
  TokenizedText text = with_bytes(std::move(tokens), tokenizer, max_tokens);
  text.document = {.source = source, .sha256 = sha256_hex(decimals)};
  return text;
}

std::unique_ptr<EngineModel> load_weights(const Model& model, const LoadOptions& options,
                                          Progress& progress) {
  std::unique_ptr<EngineModel> loaded;
  const Failure failure = engine(options.device).load(model, options, progress, loaded);
  if (failure) { throw Error(failure); }
  return loaded;
}

std::unique_ptr<EngineModel> load_weights_somewhere(const Model& model, LoadOptions& options,
                                                    Progress& progress, std::string& note,
                                                    bool smaller) {
  const std::string unused = options.device == ComputeDevice::cpu ? unused_gpu() : "";
  note = unused.empty() ? "" : "running on the CPU: " + unused;
  if (options.device != ComputeDevice::cpu) {
    try {
      return load_weights(model, options, progress);
    } catch (const Error& error) {
      const bool too_small = smaller && error.code() == ExitCode::memory;
      if (error.code() != ExitCode::gpu && !too_small) { throw; }
      note = join_words("running on the CPU: ", error.failure().message);
      options.device = ComputeDevice::cpu;
    }
  }
  return load_weights(model, options, progress);
}

std::string nonfinite_weights(const Model& model, const EngineModel& loaded) {
  const std::uint64_t nonfinite = loaded.nonfinite_weights();
  if (nonfinite == 0) { return ""; }
  return describe({.file = model.files.weights.native()},
                  join_words(nonfinite, nonfinite == 1 ? " weight is" : " weights are",
                             " NaN or infinite, in ", loaded.nonfinite_tensors()));
}

void TokenProgress::begin_call(std::uint64_t tokens) {
  before_ += call_;
  call_ = tokens;
}

bool TokenProgress::update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept {
  if (stage != Stage::prefill || total == 0) { return progress_.update(stage, done, total); }
  const double share = std::min(1.0, double(done) / double(total));
  return progress_.update(stage, before_ + std::uint64_t(share * double(call_)), all_);
}

std::vector<std::int32_t> ids_of(const TokenizedText& text) {
  std::vector<std::int32_t> ids;
  for (const Token& token : text.tokens) { ids.push_back(token.id); }
  return ids;
}

std::uint64_t tokens_to_run(const TokenizedText& text) {
  std::uint64_t tokens = 0;
  for (const TextChunk& chunk : text.chunks) { tokens += std::uint64_t(chunk.end - chunk.begin); }
  return tokens;
}

namespace {

// Every chunk of `text`: from `from` on, where it has places, and with what is kept in `keep`,
// where that has places.
Failure run_each(const RunPlan& plan, EngineModel& loaded, const TokenizedText& text, Probe& probe,
                 TokenProgress& progress, const std::vector<StackPlace>& from,
                 std::vector<StackPlace>& keep) {
  const std::vector<std::int32_t> ids = ids_of(text);
  const std::int64_t tokens = std::int64_t(ids.size());
  for (std::size_t i = 0; i < text.chunks.size(); ++i) {
    const TextChunk& chunk = text.chunks[i];
    progress.begin_call(std::uint64_t(chunk.end - chunk.begin));
    ForwardCall call;
    call.ids =
        std::span(ids).subspan(std::size_t(chunk.begin), std::size_t(chunk.end - chunk.begin));
    call.text_offset = chunk.begin;
    call.first_recorded = chunk.first_recorded - chunk.begin;
    call.text_tokens = tokens;
    call.next_id = chunk.end < tokens ? ids[chunk.end] : -1;
    if (!from.empty()) { call.from = from[i]; }
    if (!keep.empty()) { call.keep = &keep[i]; }
    const Failure failure = loaded.forward(call, plan, probe, progress);
    if (failure) { return failure; }
  }
  return {};
}

}  // namespace

Failure run_chunks(const RunPlan& plan, EngineModel& loaded, const TokenizedText& text,
                   Probe& probe, TokenProgress& progress) {
  std::vector<StackPlace> none;
  return run_each(plan, loaded, text, probe, progress, {}, none);
}

Failure SharedStart::run(std::int64_t layer, const RunPlan& plan, EngineModel& loaded,
                         const TokenizedText& text, Probe& probe, TokenProgress& progress) {
  std::vector<StackPlace> keep;
  if (layer != layer_) { keep.assign(text.chunks.size(), {layer, nullptr}); }
  const Failure failure = run_each(plan, loaded, text, probe, progress, from_, keep);
  if (!failure && layer != layer_) {
    from_ = std::move(keep);
    layer_ = layer;
  }
  return failure;
}

void record_trace(const std::filesystem::path& path, const Model& model, const RunPlan& plan,
                  EngineModel& loaded, const TokenizedText& text, const TraceSettings& settings,
                  TokenProgress& progress) {
  plan.check_text(ids_of(text));
  TraceRecorder recorder(path, model, plan, text, settings);
  const Failure failure = run_chunks(plan, loaded, text, recorder, progress);
  if (recorder.failure()) { throw Error(recorder.failure()); }
  if (failure) { throw Error(failure); }
  recorder.finish();
}

}  // namespace kappascope
