#include "core/model/reading.h"

#include <algorithm>
#include <set>

#include "core/checkpoint/other_format.h"

namespace kappascope {
namespace {

// A copy of shared elements may be so much longer than the file.
constexpr std::uint64_t kRepeatedBytes = std::uint64_t{64} << 20;

}  // namespace

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() > kMost ? join_words(text, " and ", names.size() - kMost, " more") : text;
}

std::string strip_model_prefix(TensorFile& tensors, std::string_view anchor) {
  if (tensors.find(anchor) != nullptr) { return ""; }
  const std::string tail = "." + std::string(anchor);
  std::set<std::string> prefixes;
  const auto look = [&](const std::string& name) {
    if (name.ends_with(tail)) { prefixes.insert(name.substr(0, name.size() - anchor.size())); }
  };
  for (const TensorInfo& tensor : tensors.tensors()) { look(tensor.name); }
  for (const OtherMember& other : tensors.others()) { look(other.name); }
  require(prefixes.size() <= 1, ExitCode::unsupported, Place{tensors.file().path()},
          "more than one model in the file, with names that begin with ",
          listed({prefixes.begin(), prefixes.end()}), "; save one of them alone");
  if (prefixes.empty()) { return ""; }
  tensors.strip_prefix(*prefixes.begin());
  return *prefixes.begin();
}

std::string unreadable(const TensorFile& tensors, const TensorInfo& weight) {
  const std::uint64_t limit = tensors.size() + kRepeatedBytes;
  // What a compressed entry can stand for was checked when the file was opened.
  if (weight.bytes <= limit || (weight.packed >= 0 && weight.strides.empty())) { return ""; }
  return join_words("repeats ", weight.stored_bytes(),
                    " bytes of the file (an expanded tensor) to ", weight.bytes,
                    ", more than is read (", limit, "); save tensor.contiguous() instead");
}

std::string conversion(const TensorFile& tensors, std::string_view what) {
  const auto has = [&](std::string_view word) { return what.find(word) != what.npos; };
  const std::string_view convert =
      has("sparse")      ? "v.to_dense() if torch.is_tensor(v) and v.is_sparse else v"
      : has("quantized") ? "v.dequantize() if torch.is_tensor(v) and v.is_quantized else v"
      : has("complex")   ? "v.real.clone() if torch.is_tensor(v) and v.is_complex() else v"
                         : "v.float() if torch.is_tensor(v) else v";
  return join_words(
      "weights of other types than float32, bfloat16, float16 and float64 are not read",
      "; convert them once: python3 -c \"import os, sys, torch; p = sys.argv[1]; ",
      "s = torch.load(p, weights_only=True); torch.save({k: ", convert,
      " for k, v in s.items()}, p + '.new'); os.replace(p + '.new', p)\" ",
      shell_quoted(tensors.file().path()));
}

std::vector<std::string> reading_notes(const Model& model, const std::string& prefix) {
  const TensorFile& tensors = *model.tensors;
  std::vector<std::string> notes;
  std::vector<std::string> wrappers(tensors.wrappers().begin(), tensors.wrappers().end());
  if (!wrappers.empty()) {
    notes.push_back("names of tensors are read without the parts of wrappers: " + listed(wrappers));
  }
  if (!prefix.empty()) {
    notes.push_back("names of tensors are read without what precedes: " + prefix);
  }
  std::int64_t narrowed = 0, numbers = 0, copied = 0;
  for (const Stored& role : model.weights.all()) {
    if (role.tensor == nullptr) { continue; }
    copied += tensors.copied(*role.tensor) ? 1 : 0;
    if (role.tensor->dtype != DType::float64) { continue; }
    ++narrowed;
    numbers += role.tensor->elements();
  }
  if (narrowed > 0) {
    notes.push_back(join_words(narrowed, " tensors (", numbers,
                               " numbers) are float64 and are narrowed to float32"));
  }
  if (copied > 0) {
    notes.push_back(join_words("copied, as compressed, unaligned or not row by row in the file: ",
                               copied, copied == 1 ? " tensor" : " tensors"));
  }
  std::vector<std::string> strangers;
  for (const OtherMember& other : tensors.others()) {
    strangers.push_back(other.name + " (" + other.what + ")");
  }
  if (!strangers.empty()) { notes.push_back("ignored, as no weights: " + listed(strangers)); }
  return notes;
}

}  // namespace kappascope
