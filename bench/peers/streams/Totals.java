package peers;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The value of a row: how many events, and the sum of their amounts. */
record Totals(long count, BigDecimal amount) {
    static final Serde<Totals> SERDE =
        Serdes.serdeFrom(
            (topic, totals) -> totals == null ? null : totals.bytes(),
            (topic, bytes) -> bytes == null ? null : of(bytes));

    private static final int FIXED = Long.BYTES + Integer.BYTES;

    /** These totals, or none yet, and one more event. */
    static Totals added(Totals before, Totals more) {
        return before == null
            ? more
            : new Totals(before.count + more.count, before.amount.add(more.amount));
    }

    private byte[] bytes() {
        byte[] digits = amount.unscaledValue().toByteArray();
        return ByteBuffer.allocate(FIXED + digits.length)
            .putLong(count)
            .putInt(amount.scale())
            .put(digits)
            .array();
    }

    private static Totals of(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        long count = buffer.getLong();
        int scale = buffer.getInt();
        BigInteger digits = new BigInteger(bytes, FIXED, bytes.length - FIXED);
        return new Totals(count, new BigDecimal(digits, scale));
    }
}
