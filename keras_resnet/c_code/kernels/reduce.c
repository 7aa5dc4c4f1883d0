/* The sum or the mean over the middle one of three sides; the multiplier divides by its length, too. */
struct reduce {
  const int8_t *input;
  int8_t *output;
  int32_t outer, length, inner;
  int32_t multiplier, shift;
  int16_t zero, output_zero;
};

static void reduce(const struct reduce *p) {
  int8_t *to = p->output;
  for (int32_t outer = 0; outer < p->outer; outer++) {
    for (int32_t inner = 0; inner < p->inner; inner++) {
      const int8_t *from = p->input + outer * p->length * p->inner + inner;
      int32_t sum = -p->zero * p->length;
      for (int32_t left = p->length; left > 0; left--, from += p->inner) sum += *from;
      *to++ = clamped(scaled(sum, p->multiplier, p->shift) + p->output_zero, -128, 127);
    }
  }
}
