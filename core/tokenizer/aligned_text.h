// A text on its way through the normalizers and pre-tokenizers of a tokenizer.json: every byte
// knows which bytes of the user's text it was made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kappascope {

// Bytes [begin, end) of the user's text (< 2 GiB); empty for what a tokenizer puts in.
struct Origin {
  std::uint32_t begin = 0, end = 0;
};

// Of several neighbours: from the first byte of any to the last of any. Nothing adds nothing.
inline Origin join(Origin a, Origin b) {
  if (a.begin == a.end) { return b.begin == b.end ? a : b; }
  if (b.begin == b.end) { return a; }
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

class AlignedText {
 public:
  AlignedText() = default;

  // `text` starts at byte `offset` of the user's text, which must outlive this: it is not copied
  // before something of it changes.
  AlignedText(std::string_view text, std::uint32_t offset) : source_(text), offset_(offset) {}

  std::string_view text() const { return changed_ ? std::string_view(text_) : source_; }

  Origin origin(std::size_t byte) const {
    if (changed_) { return origins_[byte]; }
    const auto at = static_cast<std::uint32_t>(offset_ + byte);
    return {at, at + 1};
  }

  Origin origin(std::size_t begin, std::size_t end) const {
    if (!changed_) {
      return {origin(begin).begin, origin(begin).begin + std::uint32_t(end - begin)};
    }
    Origin all = origins_[begin];
    for (std::size_t i = begin + 1; i < end; ++i) { all = join(all, origins_[i]); }
    return all;
  }

  // Builds the text that takes the place of another.
  class Builder {
   public:
    explicit Builder(const AlignedText& from) : from_(from) {
      text_.reserve(from.text().size());
      origins_.reserve(from.text().size());
    }
    // Bytes [begin, end) as they are.
    void keep(std::size_t begin, std::size_t end) {
      text_ += from_.text().substr(begin, end - begin);
      for (std::size_t i = begin; i < end; ++i) { origins_.push_back(from_.origin(i)); }
    }
    void add(std::string_view bytes, Origin origin) {
      text_ += bytes;
      origins_.insert(origins_.end(), bytes.size(), origin);
    }
    // What is put in before byte `at`.
    void insert(std::string_view bytes, std::size_t at) {
      const std::size_t size = from_.text().size();
      const std::uint32_t place = at < size  ? from_.origin(at).begin
                                  : size > 0 ? from_.origin(size - 1).end
                                             : from_.offset_;
      add(bytes, {place, place});
    }
    std::size_t size() const { return text_.size(); }
    AlignedText take() { return AlignedText(std::move(text_), std::move(origins_)); }

   private:
    const AlignedText& from_;
    std::string text_;
    std::vector<Origin> origins_;
  };

 private:
  AlignedText(std::string text, std::vector<Origin> origins)
      : changed_(true), text_(std::move(text)), origins_(std::move(origins)) {}

  std::string_view source_;
  std::uint32_t offset_ = 0;
  bool changed_ = false;
  std::string text_;
  std::vector<Origin> origins_;  // of each byte of text_
};

}  // namespace kappascope
