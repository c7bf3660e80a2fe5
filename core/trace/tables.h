// A trace as text: tokens.csv (one row per token) and routing.csv (one row per layer, token, slot).
#pragma once

#include <filesystem>

#include "core/trace/trace.h"

namespace kappascope {

// RFC 4180 (rows end with CR LF), UTF-8, columns named as in the CSV files of figures
// (`layer`, `pass`, `expert`) and otherwise as the trace's arrays; `document` is the
// source of the text, top_token_id_0 … top_token_logprob_4 hold the five likeliest, `token` and
// `slot` count from 0. Texts are escaped so that no field needs quotes (put_csv_text); missing
// values are empty fields; floats are the shortest text that reads back to the same float32. `path`
// must not exist.
void write_tokens_csv(const std::filesystem::path& path, const Trace& trace);
void write_routing_csv(const std::filesystem::path& path, const Trace& trace);

}  // namespace kappascope
