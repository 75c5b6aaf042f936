package peers;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Rows per school and day, and per county and day, with Kafka Streams, exactly once (v2).
 *
 * <p>Within Kafka nothing is counted twice or left out: totals live in state stores whose changes,
 * the messages to the counties' partitions and the offsets are one transaction. Postgres is no part
 * of it: the rows are written just before that transaction commits, as absolute values, so that a
 * crash between the two writes them again. Until then a reader may see rows of events that Kafka
 * does not yet hold for counted, and there is no offset in Postgres that says how far they are.
 * When partitions move to another thread or process, Kafka commits first and the rows follow: a
 * crash just then leaves rows behind until their next event.
 */
public final class DailyTotals {
    private static final ZoneOffset CHINA = ZoneOffset.ofHours(8);

    /** What the job is told, as JSON in its only argument. */
    record Options(
        String kafka, String name, String url, List<String> topics, String counties, String state,
        long events, int partitions, int threads, long commitMs, String store, int cacheMb) {}

    /** An event, of which one field is needed. */
    interface Counted {
        BigDecimal amount();
    }

    record Repair(@JsonProperty("cost_cny") BigDecimal amount) implements Counted {}

    record Purchase(@JsonProperty("amount_cny") BigDecimal amount) implements Counted {}

    record Damage(@JsonProperty("replacement_cost_cny") BigDecimal amount) implements Counted {}

    record Inspection(@JsonProperty("score") BigDecimal amount) implements Counted {}

    record Hazard(@JsonProperty("rectified_in_minutes") BigDecimal amount) implements Counted {}

    private static final ObjectMapper JSON =
        new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    private static final Map<String, ObjectReader> READERS =
        Map.of(
            "RepairSigned", JSON.readerFor(Repair.class),
            "PurchaseApproved", JSON.readerFor(Purchase.class),
            "AssetDamaged", JSON.readerFor(Damage.class),
            "InspectionPassed", JSON.readerFor(Inspection.class),
            "HazardClosed", JSON.readerFor(Hazard.class));

    /** Adds to a store and to the rows to be written; writes them before each commit. */
    private abstract static class Adding<K, V> implements Processor<K, V, Place, Totals> {
        private static final long LOOK_MS = 20;
        private final String name;
        private final long commitMs;
        protected ProcessorContext<Place, Totals> context;
        private KeyValueStore<Place, Totals> store;

        Adding(String name, long commitMs) {
            this.name = name;
            this.commitMs = commitMs;
        }

        @Override
        public void init(ProcessorContext<Place, Totals> given) {
            context = given;
            store = given.getStateStore(name);
            Rows.mine().join(given);
            given.schedule(
                Duration.ofMillis(LOOK_MS),
                PunctuationType.WALL_CLOCK_TIME,
                time -> Rows.mine().flushIfDue(time, commitMs));
        }

        @Override
        public void close() {
            Rows.mine().leave(context);
        }

        protected Totals add(Place place, Totals more) {
            Totals totals = Totals.added(store.get(place), more);
            store.put(place, totals);
            return totals;
        }
    }

    private static final class Schools extends Adding<byte[], byte[]> {
        private final Map<UUID, UUID> counties;

        Schools(Map<UUID, UUID> counties, long commitMs) {
            super("schools", commitMs);
            this.counties = counties;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            Progress.begin();
            String kind = header(record.headers(), "ce_type");
            Totals one = new Totals(1, amount(kind, record.value()));
            OffsetDateTime at = OffsetDateTime.parse(header(record.headers(), "ce_time"));
            int day = (int) at.withOffsetSameInstant(CHINA).toLocalDate().toEpochDay();
            UUID school = UUID.fromString(new String(record.key(), StandardCharsets.US_ASCII));
            Place place = new Place(kind, school, day);
            Rows.mine().school(place, add(place, one));
            Place above = new Place(kind, counties.get(school), day);
            context.forward(new Record<>(above, one, record.timestamp()));
        }
    }

    private static final class Counties extends Adding<Place, Totals> {
        Counties(long commitMs) {
            super("counties", commitMs);
        }

        @Override
        public void process(Record<Place, Totals> record) {
            Rows.mine().county(record.key(), add(record.key(), record.value()));
        }
    }

    private DailyTotals() {}

    /** Runs the job, prints when it began and ended, and stays until its input is closed. */
    public static void main(String[] args) throws IOException, InterruptedException {
        Options options = JSON.readValue(args[0], Options.class);
        Progress.expect(options.events());
        Rows.writeTo(options.url());
        KafkaStreams streams =
            new KafkaStreams(topology(options).build(), new StreamsConfig(settings(options)));
        streams.setUncaughtExceptionHandler(
            problem -> {
                problem.printStackTrace();
                Runtime.getRuntime().halt(1);
                return null;
            });
        streams.start();
        System.out.println(Progress.report());
        System.in.read();
        streams.close(Duration.ofSeconds(20));
        System.exit(0);
    }

    private static StreamsBuilder topology(Options options) throws IOException {
        Map<UUID, UUID> counties = counties(Path.of(options.counties()));
        StreamsBuilder builder = new StreamsBuilder();
        builder
            .addStateStore(store("schools", options))
            .addStateStore(store("counties", options))
            .stream(options.topics(), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .process(() -> new Schools(counties, options.commitMs()), "schools")
            .repartition(
                Repartitioned.with(Place.SERDE, Totals.SERDE)
                    .withName("county")
                    .withNumberOfPartitions(options.partitions()))
            .process(() -> new Counties(options.commitMs()), "counties");
        return builder;
    }

    private static StoreBuilder<KeyValueStore<Place, Totals>> store(String name, Options options) {
        var supplier =
            options.store().equals("memory")
                ? Stores.inMemoryKeyValueStore(name)
                : Stores.persistentKeyValueStore(name);
        var builder = Stores.keyValueStoreBuilder(supplier, Place.SERDE, Totals.SERDE);
        return options.cacheMb() > 0 ? builder.withCachingEnabled() : builder;
    }

    private static Properties settings(Options options) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.name());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.kafka());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.state());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.threads());
        settings.put(
            StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, options.cacheMb() * 1024L * 1024L);
        // Commits are asked for where the rows have been written, so that none comes before them.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 300_000);
        settings.put(
            StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 600_000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 262_144);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, StreamsConfig.MAX_TASK_IDLE_MS_DISABLED);
        // So that a second thread gets its share soon after it has joined.
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 200);
        return settings;
    }

    /** County by school, from lines of both ids. */
    private static Map<UUID, UUID> counties(Path path) throws IOException {
        Map<UUID, UUID> counties = new HashMap<>();
        for (String line : Files.readAllLines(path)) {
            String[] ids = line.split(" ");
            counties.put(UUID.fromString(ids[0]), UUID.fromString(ids[1]));
        }
        return counties;
    }

    private static BigDecimal amount(String kind, byte[] value) {
        try {
            Counted event = READERS.get(kind).readValue(value);
            return event.amount();
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    private static String header(Headers headers, String name) {
        return new String(headers.lastHeader(name).value(), StandardCharsets.UTF_8);
    }
}
