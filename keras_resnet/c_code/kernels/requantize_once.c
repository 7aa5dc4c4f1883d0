/* The same, rounded once, halves upwards, as LiteRT's dense layers do. */
static int32_t scaled_once(int32_t x, int32_t multiplier, int32_t shift) {
  return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << (30 - shift))) >> (31 - shift));
}
