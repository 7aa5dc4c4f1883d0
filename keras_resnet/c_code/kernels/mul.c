/* a * b. Steps of 0 repeat an input along a side. */
struct mul {
  const int8_t *a, *b;
  int8_t *output;
  int32_t sides[4], a_steps[4], b_steps[4];
  int32_t multiplier, shift;
  int16_t a_zero, b_zero, output_zero, least, most;
};

static void mul(const struct mul *p) {
  const struct mul q = *p; /* so that no value is loaded again after each store */
  int8_t *to = q.output;
  for (int32_t i = 0; i < q.sides[0]; i++) {
    for (int32_t j = 0; j < q.sides[1]; j++) {
      for (int32_t k = 0; k < q.sides[2]; k++) {
        const int8_t *a = q.a + i * q.a_steps[0] + j * q.a_steps[1] + k * q.a_steps[2];
        const int8_t *b = q.b + i * q.b_steps[0] + j * q.b_steps[1] + k * q.b_steps[2];
        for (int32_t left = q.sides[3]; left > 0; left--, a += q.a_steps[3], b += q.b_steps[3]) {
          const int32_t product = scaled((int32_t)(*a - q.a_zero) * (*b - q.b_zero), q.multiplier, q.shift);
          *to++ = clamped(product + q.output_zero, q.least, q.most);
        }
      }
    }
  }
}
