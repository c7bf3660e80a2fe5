// Sums of many numbers that come out alike in whatever order and however many parts they are taken.
#pragma once

namespace kappascope {

// A sum kept as two doubles whose exact sum it is (Knuth's two-sum, TAOCP 4.2.2): its error is of
// the order of 1e-32 of the sum of magnitudes, so that sums over one machine or many agree when
// they are rounded to a double.
class Sum {
 public:
  void add(double value) {
    const double sum = high_ + value, part = sum - high_;
    low_ += (high_ - (sum - part)) + (value - part);
    high_ = sum;
  }
  void add(const Sum& other) {
    add(other.high_);
    low_ += other.low_;
  }
  double value() const { return high_ + low_; }

  template <typename Archive>
  void exchange(Archive& archive) {
    archive(high_);
    archive(low_);
  }

 private:
  double high_ = 0, low_ = 0;
};

}  // namespace kappascope
