// What is done with any bytes: a target for every reader of files we do not trust, and for every
// writer, which is read back. Anything but an Error ends the program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kappascope::testing {

void fuzz_chat(const std::uint8_t* data, std::size_t size);
void fuzz_chat_template(const std::uint8_t* data, std::size_t size);
void fuzz_config(const std::uint8_t* data, std::size_t size);
void fuzz_corpus(const std::uint8_t* data, std::size_t size);
void fuzz_csv(const std::uint8_t* data, std::size_t size);
void fuzz_html(const std::uint8_t* data, std::size_t size);
void fuzz_interventions(const std::uint8_t* data, std::size_t size);
void fuzz_json(const std::uint8_t* data, std::size_t size);
void fuzz_meta_json(const std::uint8_t* data, std::size_t size);
void fuzz_npz(const std::uint8_t* data, std::size_t size);
void fuzz_npz_writer(const std::uint8_t* data, std::size_t size);
void fuzz_pickle(const std::uint8_t* data, std::size_t size);
void fuzz_safetensors(const std::uint8_t* data, std::size_t size);
void fuzz_sentencepiece(const std::uint8_t* data, std::size_t size);
void fuzz_settings(const std::uint8_t* data, std::size_t size);
void fuzz_shards(const std::uint8_t* data, std::size_t size);
void fuzz_style(const std::uint8_t* data, std::size_t size);
void fuzz_svg(const std::uint8_t* data, std::size_t size);
void fuzz_sweep_log(const std::uint8_t* data, std::size_t size);
void fuzz_tasks(const std::uint8_t* data, std::size_t size);
void fuzz_tokenizer_config(const std::uint8_t* data, std::size_t size);
void fuzz_tokenizer_json(const std::uint8_t* data, std::size_t size);
void fuzz_tokenizer_pickle(const std::uint8_t* data, std::size_t size);
void fuzz_torch_pt(const std::uint8_t* data, std::size_t size);
void fuzz_torch_writer(const std::uint8_t* data, std::size_t size);
void fuzz_totals(const std::uint8_t* data, std::size_t size);
void fuzz_train_log(const std::uint8_t* data, std::size_t size);
void fuzz_train_settings(const std::uint8_t* data, std::size_t size);
void fuzz_zip(const std::uint8_t* data, std::size_t size);

}  // namespace kappascope::testing
