/* a + sign * b. Steps of 0 repeat an input along a side. */
struct add {
  const int8_t *a, *b;
  int8_t *output;
  int32_t sides[4], a_steps[4], b_steps[4];
  int32_t a_multiplier, b_multiplier, multiplier;
  int8_t a_shift, b_shift, shift, sign;
  int16_t a_zero, b_zero, output_zero, least, most;
};

static void add(const struct add *p) {
  const struct add q = *p; /* so that no value is loaded again after each store */
  int8_t *to = q.output;
  for (int32_t i = 0; i < q.sides[0]; i++) {
    for (int32_t j = 0; j < q.sides[1]; j++) {
      for (int32_t k = 0; k < q.sides[2]; k++) {
        const int8_t *a = q.a + i * q.a_steps[0] + j * q.a_steps[1] + k * q.a_steps[2];
        const int8_t *b = q.b + i * q.b_steps[0] + j * q.b_steps[1] + k * q.b_steps[2];
        for (int32_t left = q.sides[3]; left > 0; left--, a += q.a_steps[3], b += q.b_steps[3]) {
          const int32_t first = scaled((*a - q.a_zero) * ((int32_t)1 << 20), q.a_multiplier, q.a_shift);
          const int32_t second = scaled((*b - q.b_zero) * ((int32_t)1 << 20), q.b_multiplier, q.b_shift);
          const int32_t sum = scaled(first + q.sign * second, q.multiplier, q.shift);
          *to++ = clamped(sum + q.output_zero, q.least, q.most);
        }
      }
    }
  }
}
