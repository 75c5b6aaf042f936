package peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.UUID;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The key of a row: what, of which school or county, on which day (since 1970). */
record Place(String kind, UUID id, int day) implements Comparable<Place> {
    static final Serde<Place> SERDE =
        Serdes.serdeFrom(
            (topic, place) -> place == null ? null : place.bytes(),
            (topic, bytes) -> bytes == null ? null : of(bytes));

    private static final Comparator<Place> ORDER =
        Comparator.comparing(Place::kind).thenComparing(Place::id).thenComparingInt(Place::day);

    private static final int FIXED = 2 * Long.BYTES + Integer.BYTES;

    private byte[] bytes() {
        byte[] name = kind.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(FIXED + name.length)
            .putLong(id.getMostSignificantBits())
            .putLong(id.getLeastSignificantBits())
            .putInt(day)
            .put(name)
            .array();
    }

    private static Place of(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        UUID id = new UUID(buffer.getLong(), buffer.getLong());
        int day = buffer.getInt();
        return new Place(
            new String(bytes, FIXED, bytes.length - FIXED, StandardCharsets.UTF_8), id, day);
    }

    @Override
    public int compareTo(Place other) {
        return ORDER.compare(this, other);
    }
}
