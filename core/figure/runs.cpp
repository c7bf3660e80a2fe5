#include "core/figure/runs.h"

#include <utf8proc.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "core/checkpoint/tensor.h"
#include "core/figure/caption.h"
#include "core/figure/text.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"
#include "core/trace/token_bytes.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostOpening = 24;    // bytes of a text that name it
constexpr std::size_t kMostFileBytes = 80;  // of a name within a file's name
constexpr std::size_t kHashLetters = 6;     // of names that would be one file's

using Group = std::vector<std::size_t>;  // indices of traces
using Words = std::vector<std::string>;  // one for each trace; "" says nothing

bool differs(const Words& words, const Group& group) {
  return std::any_of(group.begin(), group.end(),
                     [&](std::size_t i) { return words[i] != words[group[0]]; });
}

// Traces with the same word, in the order of their first one.
std::vector<Group> groups_of(const Words& words, const Group& within) {
  std::vector<Group> groups;
  for (const std::size_t i : within) {
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return words[group[0]] == words[i];
    });
    if (found == groups.end()) {
      groups.push_back({i});
    } else {
      found->push_back(i);
    }
  }
  return groups;
}

// Last `parts` names of a path: "d12", "seed1/d12", …
std::string tail(const std::filesystem::path& path, std::size_t parts) {
  std::filesystem::path result, from = path;
  for (; parts > 0 && !from.filename().empty(); --parts, from = from.parent_path()) {
    result = result.empty() ? from.filename() : from.filename() / result;
  }
  return plain_text(result.generic_string());
}

// Without "/home/NAME" in front: names of runs get into papers, names of users must not.
std::filesystem::path without_home(const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> parts(path.begin(), path.end());
  if (!path.is_absolute() || parts.size() < 2) { return path; }
  const bool shared = parts[1] == "home" || parts[1] == "Users";
  const std::size_t skipped = shared ? 3 : parts[1] == "root" ? 2 : 1;
  std::filesystem::path rest = parts[0];
  for (std::size_t i = skipped; i < parts.size(); ++i) { rest /= parts[i]; }
  return rest;
}

// Of a relative path only the names that it says: "." and ".." are none, and "x/." is "x".
std::filesystem::path named_part(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  if (normal.is_absolute()) { return without_home(normal); }
  std::filesystem::path named;
  for (const std::filesystem::path& part : normal) {
    if (part != "." && part != ".." && !part.empty()) { named /= part; }
  }
  return named;
}

// The shortest ends of the paths of `group` that differ wherever the paths do. A relative path that
// is the end of another one is taken for the same, so that one without any name is.
Words tails(std::vector<std::filesystem::path> paths, const Group& group) {
  for (auto& path : paths) { path = named_part(path); }
  for (const std::size_t i : group) {
    for (const std::size_t k : group) {
      const auto parts = static_cast<std::size_t>(std::distance(paths[i].begin(), paths[i].end()));
      if (paths[i].is_relative() && tail(paths[k], parts) == tail(paths[i], parts)) {
        paths[i] = paths[k];
      }
    }
  }
  Words whole(paths.size()), ends(paths.size());
  for (const std::size_t i : group) { whole[i] = tail(paths[i], SIZE_MAX); }
  const std::size_t different = groups_of(whole, group).size();
  for (std::size_t parts = 1;; ++parts) {
    for (const std::size_t i : group) { ends[i] = tail(paths[i], parts); }
    if (groups_of(ends, group).size() >= different) { return ends; }
  }
}

// "on" or "off" where the model has such a thing at all.
std::string kappa_word(const Trace& trace) {
  if (!flag_is(meta_at(trace, "kappa", "model"), true)) { return ""; }
  return trace.kappa ? "κ on" : "κ off";
}

std::string capacity_word(const Trace& trace) {
  if (!meta_at(trace, "capacity", "in_force")) { return ""; }
  const Json* factor = meta_at(trace, "capacity", "factor");
  if (factor && factor->is_null()) { return ""; }  // the model has none
  return flag_is(meta_at(trace, "capacity", "in_force"), true) ? "capacity on" : "capacity off";
}

std::string window_word(const Trace& trace) {
  const Json* length = meta_at(trace, "window", "sequence_len");
  return length && length->is_number_integer()
             ? "window " + std::to_string(length->get<std::int64_t>())
             : "";
}

// Bytes of the text, without tokens that are not part of it (the one that begins a document).
std::string words_of(const Trace& trace, std::size_t most) {
  std::string text;
  for (std::size_t t = 0; t < trace.token_text.size() && text.size() < most; ++t) {
    const bool counted = trace.char_start.size() == trace.token_text.size();
    if (!counted || trace.char_end[t] > trace.char_start[t]) {
      text += token_bytes(trace, std::int64_t(t));
    }
  }
  return text;
}

std::string opening(const Trace& trace) {
  return "“" + run_text(trace, kMostOpening) + "”";
}

// Names of the texts, where these differ: their files, else how they begin, else their places in
// the batch, else their lengths.
Words text_words(std::span<const Trace* const> traces, const Group& all) {
  Words keys, sources, openings, places, lengths;
  std::vector<std::filesystem::path> paths;
  bool hashed = true, files = true;
  for (const Trace* trace : traces) {
    hashed = hashed && !text_of(meta_at(*trace, "document", "sha256")).empty();
    paths.emplace_back(text_of(meta_at(*trace, "document", "source")));
    files = files && !paths.back().empty() && paths.back() != "prompt" &&
            paths.back() != "standard input";
  }
  for (const Trace* trace : traces) {
    keys.push_back(hashed ? text_of(meta_at(*trace, "document", "sha256"))
                          : words_of(*trace, SIZE_MAX));
    openings.push_back(opening(*trace));
    const Json* place = meta_at(*trace, "document", "index");
    places.push_back(place && place->is_number_integer()
                         ? "text " + std::to_string(place->get<std::int64_t>() + 1)
                         : "");
    lengths.push_back(std::to_string(trace->tokens) + " tokens");
  }
  if (!differs(keys, all)) { return Words(traces.size()); }
  const std::size_t different = groups_of(keys, all).size();
  if (files) { sources = tails(paths, all); }
  for (Words* words : {&sources, &openings, &places, &lengths}) {
    if (!words->empty() && groups_of(*words, all).size() >= different) { return *words; }
  }
  return openings;
}

class Namer {
 public:
  explicit Namer(std::span<const Trace* const> traces) : traces_(traces) {
    for (std::size_t i = 0; i < traces.size(); ++i) { all_.push_back(i); }
  }

  Words run() {
    models();
    choices([](const Trace& trace) { return kappa_word(trace); }, "κ on");
    choices(reading_label, "");
    choices([](const Trace& trace) { return capacity_word(trace); }, "capacity on");
    choices(intervention_label, "");
    choices([](const Trace& trace) { return text_of(meta_at(trace, "dtype")); }, "");
    choices([](const Trace& trace) { return text_of(meta_at(trace, "device")); }, "");
    of_one_model(window_word);
    add(text_words(traces_, all_), all_);
    last_resort();
    return std::move(names_);
  }

 private:
  using Say = std::function<std::string(const Trace&)>;

  Words words_of(const Say& say) const {
    Words words;
    for (const Trace* trace : traces_) { words.push_back(say(*trace)); }
    return words;
  }

  void add(const Words& words, const Group& group) {
    for (const std::size_t i : group) {
      if (!words[i].empty()) { names_[i] += (names_[i].empty() ? "" : " · ") + words[i]; }
    }
  }

  // Name, step and folder of the model.
  void models() {
    for (const Trace* trace : traces_) {
      names_.push_back(trace->model_name.empty() ? "unnamed model" : plain_text(trace->model_name));
    }
    std::vector<std::filesystem::path> folders;
    for (const Trace* trace : traces_) {
      folders.push_back(
          std::filesystem::path(text_of(meta_at(*trace, "model", "path"))).parent_path());
    }
    const Words plain = names_;
    for (const Group& group : groups_of(plain, all_)) {
      const Words ends = tails(folders, group);
      for (const std::size_t i : group) {
        if (!differs(ends, group)) { break; }
        const bool named = ends[i] == plain[i] || ends[i].ends_with("/" + plain[i]);
        names_[i] = named ? ends[i] : plain[i] + " · " + ends[i];
      }
    }
    of_one_model([](const Trace& trace) {
      return trace.step < 0 ? "" : "step " + std::to_string(trace.step);
    });
    models_ = plain;
  }

  // What was chosen for a run: said of all that have it as soon as it differs anywhere. `usual`
  // needs no word where others have no such thing.
  void choices(const Say& say, const std::string& usual) {
    const Words words = words_of(say);
    const auto worth = [&](std::size_t i) { return !words[i].empty() && words[i] != usual; };
    if (differs(words, all_) && std::any_of(all_.begin(), all_.end(), worth)) { add(words, all_); }
  }

  // What belongs to a model: said where it differs between runs of one name.
  void of_one_model(const Say& say) {
    const Words words = words_of(say), names = models_.empty() ? names_ : models_;
    for (const Group& group : groups_of(names, all_)) {
      if (differs(words, group)) { add(words, group); }
    }
  }

  void last_resort() {
    std::vector<std::filesystem::path> folders;
    for (const Trace* trace : traces_) { folders.push_back(trace->path.parent_path()); }
    const Words before = names_;
    for (const Group& group : groups_of(before, all_)) {
      if (group.size() == 1) { continue; }
      const Words ends = tails(folders, group);
      if (differs(ends, group)) { add(ends, group); }
    }
    const Words after = names_;
    for (const Group& group : groups_of(after, all_)) {
      for (std::size_t k = 1; k < group.size(); ++k) {
        names_[group[k]] += " · run " + std::to_string(k + 1);
      }
    }
  }

  std::span<const Trace* const> traces_;
  Group all_;
  Words names_, models_;  // so far; of the models alone
};

}  // namespace

std::vector<std::string> run_names(std::span<const Trace* const> traces) {
  return Namer(traces).run();
}

std::vector<std::string> run_settings(const Trace& trace) {
  const Json* kappa = meta_at(trace, "kappa", "model");
  const bool without = kappa && kappa->is_boolean() && !kappa->get<bool>();
  const std::optional<double> constant = kappa_constant(trace);
  const std::string fixed = constant ? "κ = " + number_text(*constant, 6) : "no κ";
  std::vector<std::string> settings;
  for (const std::string& word : {without ? fixed : kappa_word(trace), reading_label(trace),
                                  capacity_word(trace), intervention_label(trace)}) {
    if (!word.empty()) { settings.push_back(word); }
  }
  const Json* chunks = meta_at(trace, "window", "chunks");
  if (chunks && chunks->is_array()) {
    settings.push_back(std::to_string(chunks->size()) +
                       (chunks->size() == 1 ? " chunk" : " chunks"));
  }
  return settings;
}

std::string run_text(const Trace& trace, std::size_t bytes) {
  if (trace.corpus) {
    return "corpus of " + count_text(trace.corpus->documents) +
           (trace.corpus->documents == 1 ? " document" : " documents");
  }
  const std::string text = words_of(trace, bytes + 1);
  std::size_t end = std::min(text.size(), bytes);
  while (end > 0 && end < text.size() && (text[end] & 0xC0) == 0x80) { --end; }
  return plain_text(display_text(text.substr(0, end))) + (end < text.size() ? "…" : "");
}

namespace {

// What a character of a name is in a file's name, after `word` and before `rest`. The signs of an
// intervention and of numbers get words, so that "2@3", "2.3" and "-2" stay three things.
std::string file_part(std::int32_t code, std::string_view letters, const std::string& word,
                      std::string_view rest) {
  const auto category = code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code);
  const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
  if (letter || code == '_') { return code == 0x3BA ? "kappa" : std::string(letters); }  // κ
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool number_before = !word.empty() && digit(word.back());
  const bool number_behind = !rest.empty() && digit(rest.front());
  if (code == '@') { return "-at-"; }
  if (code == '*' && word.ends_with("-at-")) { return "all"; }
  if (code == ':' && word.find("-at-") != word.npos) { return "-expert"; }
  if (code == '.' && number_before && number_behind) { return "p"; }
  if (code == ',' && number_before && number_behind) { return "_"; }
  if (code == '+' && number_behind) { return ""; }  // 1e+20
  if (code == '-' && number_behind && word.ends_with('-')) { return "minus"; }
  return "-";
}

// Names of files that some systems take for one are alike.
std::string folded(const std::string& word) {
  std::string result = word;
  for (char& c : result) { c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
  return result;
}

}  // namespace

std::vector<std::string> folder_names(const std::vector<std::filesystem::path>& folders) {
  Group all(folders.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  Words names = tails(folders, all);
  std::map<std::string, int> times;
  for (std::string& name : names) {
    if (name.empty()) { name = "run"; }
    const int again = ++times[name];
    if (again > 1) { name += " (" + std::to_string(again) + ")"; }
  }
  return names;
}

std::string file_word(std::string_view name) {
  std::string word;
  while (!name.empty()) {
    const auto [code, length] = next_code(name);
    const std::string_view letters = name.substr(0, length);
    name.remove_prefix(length);
    std::string next = file_part(code, letters, word, name);
    if (next.starts_with('-') && (word.empty() || word.ends_with('-'))) { next.erase(0, 1); }
    if (word.size() + next.size() > kMostFileBytes) { break; }
    word += next;
  }
  while (word.ends_with('-')) { word.pop_back(); }
  return word.empty() ? "run" : word;
}

std::vector<std::string> file_words(const std::vector<std::string>& names) {
  std::map<std::string, std::set<std::string>> named;  // names by their word
  for (const std::string& name : names) { named[folded(file_word(name))].insert(name); }
  std::map<std::string, int> times;
  std::vector<std::string> words;
  for (const std::string& name : names) {
    std::string word = file_word(name);
    if (named[folded(word)].size() > 1) { word += "-" + sha256_hex(name).substr(0, kHashLetters); }
    const int again = ++times[word];
    words.push_back(again == 1 ? word : word + "-" + std::to_string(again));
  }
  return words;
}

}  // namespace kappascope
