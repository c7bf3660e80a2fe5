// Reads lines of "KIND PATH" and says of each file, in a line of JSON, what our reader makes of it:
// {"code": of the error, "says": …}, or the tensors, or the ids of the texts that the words name.
//   read_files [TEXT …] <LIST
#include <iostream>
#include <span>

#include "core/checkpoint/json.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/torch_pt.h"
#include "core/tokenizer/tokenizer.h"

namespace {

using namespace kappascope;

// {name: [dtype, shape, SHA-256 of the bytes]}
Json tensors_of(const TensorFile& file) {
  Json tensors = Json::object();
  for (const TensorInfo& tensor : file.tensors()) {
    const auto bytes = file.data(tensor);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    tensors[tensor.name] = {dtype_name(tensor.dtype), tensor.shape, sha256_hex(text)};
  }
  return tensors;
}

Json ids_of(const Tokenizer& tokenizer, std::span<char*> texts) {
  Json all = Json::array();
  for (const char* text : texts) {
    Json ids = Json::array();
    for (const Token& token : tokenizer.encode(text)) { ids.push_back(token.id); }
    all.push_back(ids);
  }
  return all;
}

Json read(const std::string& kind, const std::string& path, std::span<char*> texts) {
  try {
    if (kind == "safetensors") { return {{"tensors", tensors_of(read_safetensors(path))}}; }
    if (kind == "torch") { return {{"tensors", tensors_of(read_torch_pt(path))}}; }
    if (kind == "tokenizer") { return {{"ids", ids_of(Tokenizer::load_json(path), texts)}}; }
    return {{"code", int(ExitCode::usage)}, {"says", "no such kind"}};
  } catch (const Error& error) { return {{"code", int(error.code())}, {"says", error.what()}}; }
}

}  // namespace

int main(int argc, char** argv) {
  for (std::string kind, path; std::cin >> kind && std::getline(std::cin >> std::ws, path);) {
    const Json said = read(kind, path, std::span(argv + 1, std::size_t(argc - 1)));
    std::cout << said.dump(-1, ' ', true, Json::error_handler_t::replace) << std::endl;
  }
  return 0;
}
